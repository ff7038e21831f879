"""Draining the spool: what was recorded while the database was away is appended, in order.

An append that was to be recorded by the rules has them checked now, against the log as it is; what
they forbid is kept beside the spool with the reason, as is what the database refuses.
"""

import contextlib
import time
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import (
    DrainStopped,
    QuantumForgeError,
    SpoolDamaged,
    SpoolEntryUnusable,
    SpoolUnwritable,
)
from quantum_forge.eventstore.database.availability.outage import AWAY, reason_of
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.database.time_limit import begin_within
from quantum_forge.eventstore.log.append import append_wire, decode_wire
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.recording.rules import append_checked, find_recorded
from quantum_forge.eventstore.spool.directory import segment_paths, unusable
from quantum_forge.eventstore.spool.entries import events_of
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.segment_drain import (
    Append,
    Drained,
    Report,
    SegmentDrain,
)

DRAIN_DEADLINE = 30.0
"""Seconds that one append of a drain may take."""

_BUSY_TRIES = 5


def append_spooled(
    permissions: Permissions, wire: bytes, *, seconds: float, until: float | None = None
) -> None:
    """Append and commit what a segment holds, by the rules if it says so, in its tenant's name.

    The database is that of the permissions. Each statement has so many seconds. A home may have
    served several tenants.

    Raises:
        NotAllowed: when the login may not append what another user recorded.
        AccessRefused: when that user may not record it.
    """
    engine = permissions.engine
    first, *_ = spooled = events_of(wire)

    def decide(connection: Connection) -> list[NewEvent]:
        act_for(connection, first.tenant_id)
        # It may have arrived before: the rules would then speak of what came after it.
        return [] if find_recorded(connection, events) else events

    if any(event.rules for event in spooled):
        events = decode_wire(wire)
        permissions.require(events, seconds=seconds, until=until, on_behalf=True)
        append_checked(engine, decide, seconds=seconds, until=until)
    else:
        with begin_within(engine, seconds, until=until) as connection:
            act_for(connection, first.tenant_id)
            append_wire(connection, wire)


def drain(
    directory: Path,
    engine: Engine,
    *,
    report: Report = lambda _, __: None,
    past_damage: bool = False,
) -> Drained:
    """Drain every segment into a database: see `drain_by`."""
    permissions = Permissions(engine)
    return drain_by(
        directory,
        lambda wire: append_spooled(permissions, wire, seconds=DRAIN_DEADLINE),
        report=report,
        past_damage=past_damage,
    )


def drain_by(
    directory: Path,
    append: Append,
    *,
    report: Report = lambda _, __: None,
    past_damage: bool = False,
) -> Drained:
    """Drain every segment that no living process writes to or drains, oldest first.

    Any number of drains may run at once. What is drained is removed; what the database refuses, and
    what is damaged, is kept in files of its own beside it. What cannot be handled is passed over,
    so that it keeps nothing else from the log.

    Raises:
        DrainStopped: when the database cannot take more now; what is not in the log is still in
            the spool.
    """
    total = Drained()
    try:
        paths = segment_paths(directory)
    except SpoolEntryUnusable as error:
        total.unusable.append(error)
        return total
    for path in paths:
        try:
            segment = _taken(path)
            if segment is None:
                if path.exists():
                    total.busy.append(str(path))
                continue
            with contextlib.closing(segment):
                _drain_one(segment, append, directory, total, report, past_damage=past_damage)
        except SpoolDamaged as damage:
            total.damaged.append(damage)
        except SpoolEntryUnusable as error:
            total.unusable.append(error)
        except OSError as error:
            total.unusable.append(unusable(path, error))
    return total


def _drain_one(
    segment: Segment,
    append: Append,
    directory: Path,
    total: Drained,
    report: Report,
    *,
    past_damage: bool,
) -> None:
    one = SegmentDrain(segment, past_damage=past_damage)
    try:
        one.run(append, report)
        segment.remove()
    except SpoolUnwritable as error:
        advice = "free some space, or repair its permissions, then drain again"
        raise SpoolEntryUnusable(error.path, error.reason, advice) from error
    except (SpoolDamaged, SpoolEntryUnusable):
        raise
    except AWAY as error:
        raise DrainStopped(directory, total.events + one.result.events, reason_of(error)) from error
    except (QuantumForgeError, DBAPIError) as error:
        # Not this append's fault, and not the database's: the segment of another tenant, say.
        advice = "drain it as a user who may append it"
        raise SpoolEntryUnusable(segment.path, reason_of(error), advice) from error
    finally:
        _add(total, one.result)


def _taken(path: Path) -> Segment | None:
    # Who only looks at the spool holds a lock for an instant.
    for _ in range(_BUSY_TRIES):
        if (segment := Segment.take(path)) is not None or not path.exists():
            return segment
        time.sleep(0.01)
    return None


def _add(total: Drained, more: Drained) -> None:
    total.appends += more.appends
    total.events += more.events
    total.rejected += more.rejected
    total.aside += more.aside
