"""Brings what was spooled into the log: in order, each append once, whatever is killed when.

Nothing is remembered of how far a drain came: a segment is removed when all of it is dealt with,
and repeated from its start until then, for the log knows the ids of the events that it has.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import Placed, Stream
from quantum_forge.eventstore.base.errors import (
    DrainStopped,
    EventIdReused,
    EventRefused,
    FollowsRejected,
    QuantumForgeError,
    SpoolDamaged,
    SpoolEntryUnusable,
    SpoolUnwritable,
    VersionConflict,
)
from quantum_forge.eventstore.database.outage import UNANSWERED, reason_of
from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.log.append import append_wire
from quantum_forge.eventstore.spool.file import (
    Damage,
    Frame,
    Segment,
    Spooled,
    events_of,
    open_file,
    segment_paths,
    sync_directory,
    unusable,
)

REFUSALS = (VersionConflict, EventRefused, EventIdReused)
"""What the database will say to the same append for ever."""

REJECTED = ".rejected.jsonl"
DRAIN_DEADLINE = 30.0
"""Seconds that one append of a drain may take."""

_BUSY_TRIES = 5
_LIMITS = text("""
    SELECT set_config('statement_timeout', :milliseconds, true),
           set_config('lock_timeout', :for_locks, true),
           set_config('idle_in_transaction_session_timeout', :milliseconds, true)
""")


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An append that the database refuses for good, as a line of a `.rejected.jsonl` file.

    offset: of its frame in the segment. error: the name of the error, reason its text. events: as
    they were to be appended.
    """

    offset: int
    error: str
    reason: str
    events: msgspec.Raw


class Aside(msgspec.Struct, frozen=True):
    """Bytes of a segment that are no append, and the file that they are kept in."""

    segment: str
    offset: int
    bytes: int
    kept: str


class Drained(msgspec.Struct):
    """What a drain did; appends are atomic calls, of one or more events.

    appends, events: now in the log, by this drain or an earlier try. busy: segments in the hands of
    living processes, left to them. damaged: segments that are stopped at damage. unusable: what
    cannot be read, or is of another tenant, or cannot be kept or removed; it was passed over.
    """

    appends: int = 0
    events: int = 0
    rejected: list[str] = []
    aside: list[Aside] = []
    busy: list[str] = []
    damaged: list[SpoolDamaged] = []
    unusable: list[SpoolEntryUnusable] = []


Append = Callable[[bytes], object]
"""Appends the JSON of one append and commits; raises one of `REFUSALS`, or something else when it
is not known what became of it."""

Report = Callable[[int, int], None]
"""Is told how many more appends are dealt with, and how many of them were rejected."""


class SegmentDrain:
    """How far a locked segment has been drained, by this process.

    An append that follows a rejected one in a stream, and counts on the version which that would
    have made, is rejected, too: it could otherwise end what somebody else began.

    Args:
        segment: which is locked by this process.
        past_damage: whether damaged bytes in the middle are set aside rather than waited for.
    """

    def __init__(self, segment: Segment, *, past_damage: bool = False) -> None:
        self.segment = segment
        self.result = Drained()
        self.rejected_streams: set[Stream] = set()
        self._past_damage = past_damage
        self._offset = 0
        self._rejections = segment.path.with_suffix(REJECTED)
        self._rejected_offsets: set[int] = set()
        for rejected in _repaired(self._rejections):
            self._rejected_offsets.add(rejected.offset)
            self._reject_streams(events_of(bytes(rejected.events)))

    @property
    def is_done(self) -> bool:
        """Whether everything that is in the segment now has been dealt with."""
        return self._offset == self.segment.size

    def moved(self, directory: Path) -> "SegmentDrain":
        """The drain of a new segment with what is still to be dealt with; this one's is closed.

        Raises:
            OSError: when it cannot be made; this one is as it was.
        """
        copy = SegmentDrain(
            self.segment.copied(directory, self._offset), past_damage=self._past_damage
        )
        copy.result, copy.rejected_streams = self.result, self.rejected_streams
        self.segment.close()
        return copy

    def run(
        self, append: Append, report: Report = lambda _, __: None, *, until: float | None = None
    ) -> bool:
        """Go on, to the end or to a time of `time.monotonic`; return whether everything is done.

        Raises:
            SpoolDamaged: at damage, with everything before it drained.
            SpoolUnwritable: when what is rejected or damaged cannot be kept.
            DatabaseUnavailable, DBAPIError: when the log cannot be reached; go on later.
        """
        for found in self.segment.scan(self._offset):
            if until is not None and time.monotonic() > until:
                return False
            if isinstance(found, Damage):
                self._set_aside(found)
            else:
                report(1, int(self._drain(found, append)))
            self._offset = min(found.end, self.segment.size)
        return self.is_done

    def _drain(self, frame: Frame, append: Append) -> bool:
        """Append one; return whether it was rejected."""
        if frame.offset in self._rejected_offsets:
            return True
        events = events_of(frame.wire)
        try:
            refuse_followers(self.rejected_streams, events)
            append(frame.wire)
        except REFUSALS as refusal:
            self._reject(frame, events, refusal)
            return True
        self.result.appends += 1
        self.result.events += len(events)
        return False

    def _reject(self, frame: Frame, events: list[Spooled], refusal: QuantumForgeError) -> None:
        rejected = Rejected(
            offset=frame.offset,
            error=type(refusal).__name__,
            reason=str(refusal),
            events=msgspec.Raw(frame.wire),
        )
        _append_durably(self._rejections, msgspec.json.encode(rejected) + b"\n")
        self._rejected_offsets.add(frame.offset)
        self._reject_streams(events)
        self.result.rejected.append(str(refusal))

    def _reject_streams(self, events: list[Spooled]) -> None:
        self.rejected_streams.update(event.stream for event in events)

    def _set_aside(self, damage: Damage) -> None:
        if not damage.is_tail and not self._past_damage:
            intact = sum(isinstance(each, Frame) for each in self.segment.scan(damage.end))
            raise SpoolDamaged(self.segment.path, damage.offset, intact)
        kept = self.segment.set_aside(damage)
        self.result.aside.append(
            Aside(str(self.segment.path), damage.offset, damage.end - damage.offset, str(kept))
        )


def refuse_followers(rejected: set[Stream], events: list[Spooled]) -> None:
    """Raise `FollowsRejected` for events that count on the versions of rejected ones."""
    for event in events:
        if (event.expected_version or 0) >= 1 and event.stream in rejected:
            raise FollowsRejected(str(event.stream), event.expected_version or 0)


def append_in_time(engine: Engine, wire: bytes, *, seconds: float) -> list[Placed]:
    """Append and commit, each statement within so many seconds by the server's clock.

    The limits last for the transaction only, so that they work behind a pooler, too.
    """
    with engine.begin() as connection:
        _limit(connection, seconds)
        return append_wire(connection, wire)


def _limit(connection: Connection, seconds: float) -> None:
    milliseconds = max(1, round(seconds * 1000))
    # The limit for locks ends first: its error is the one that names who holds the lock.
    for_locks = max(1, milliseconds * 3 // 4)
    limits = {"milliseconds": str(milliseconds), "for_locks": str(for_locks)}
    connection.execute(_LIMITS, limits)


def _append(engine: Engine, wire: bytes) -> None:
    """Append in the name of the tenant that it is of: a home may have served several."""
    with engine.begin() as connection:
        _limit(connection, DRAIN_DEADLINE)
        act_for(connection, events_of(wire)[0].tenant_id)
        append_wire(connection, wire)


def drain(
    directory: Path,
    engine: Engine,
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
                _drain_one(segment, engine, directory, total, report, past_damage=past_damage)
        except SpoolDamaged as damage:
            total.damaged.append(damage)
        except SpoolEntryUnusable as error:
            total.unusable.append(error)
        except OSError as error:
            total.unusable.append(unusable(path, error))
    return total


def _drain_one(
    segment: Segment,
    engine: Engine,
    directory: Path,
    total: Drained,
    report: Report,
    *,
    past_damage: bool,
) -> None:
    one = SegmentDrain(segment, past_damage=past_damage)
    try:
        one.run(lambda wire: _append(engine, wire), report)
        segment.remove()
    except SpoolUnwritable as error:
        advice = "free some space, or repair its permissions, then drain again"
        raise SpoolEntryUnusable(error.path, error.reason, advice) from error
    except (SpoolDamaged, SpoolEntryUnusable):
        raise
    except UNANSWERED as error:
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


def rejections(path: Path) -> list[Rejected]:
    """The lines of a `.rejected.jsonl` file, but for one that a kill cut off.

    Raises:
        SpoolEntryUnusable: when it cannot be read, or somebody else has written to it.
    """
    try:
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rejected = msgspec.json.decode(line, type=Rejected)
            events_of(bytes(rejected.events))
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            reason = f"line {number} is not a rejected append"
            advice = "repair the line, or move the file out of the spool"
            raise SpoolEntryUnusable(path, reason, advice) from error
        found.append(rejected)
    return found


def _repaired(path: Path) -> list[Rejected]:
    """The same, after removing the cut-off line: its append is still in the segment."""
    with (
        contextlib.suppress(FileNotFoundError),
        os.fdopen(open_file(path, os.O_RDWR), "r+b") as file,
    ):
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
    return rejections(path)


def _append_durably(path: Path, line: bytes) -> None:
    existed = path.exists()
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if not existed:
            sync_directory(path.parent)
    except OSError as error:
        raise SpoolUnwritable(path, error.strerror or str(error), "a rejected append") from error
