"""The store that a recorder of this machine uses: PostgreSQL, over a connection of its own."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Placed
from quantum_forge.eventstore.base.errors import RuleBroken, VersionConflict
from quantum_forge.eventstore.database.engine import where
from quantum_forge.eventstore.database.time_limit import SLACK, begin_within
from quantum_forge.eventstore.log.appender import Appender
from quantum_forge.eventstore.recording.drain import append_spooled
from quantum_forge.eventstore.recording.known_streams import KnownStreams
from quantum_forge.eventstore.recording.lifecycle_check import conform, foresee
from quantum_forge.eventstore.recording.log_reader import DatabaseReader, LogReader
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.recording.rules import CHUNK, append_checked, find_recorded
from quantum_forge.eventstore.spool.entries import events_of


class DatabaseStore:
    """A database as a `Store`.

    Args:
        engine: of the database.
        tenant_id: whose log it is.
    """

    def __init__(self, engine: Engine, tenant_id: UUID) -> None:
        self.engine = engine
        self.tenant_id = tenant_id
        self.appender = Appender(engine, tenant_id=tenant_id)
        self.known = KnownStreams()
        self.permissions = Permissions(engine)

    @property
    def where(self) -> str:
        """See `Store`."""
        return where(self.engine.url)

    def append(
        self,
        events: Sequence[NewEvent],
        *,
        rules: bool,
        by_action: bool = False,
        seconds: float | None = None,
    ) -> list[Placed]:
        """Append over the kept connection; what depends on more is read first, in a transaction."""
        until = None if seconds is None else time.monotonic() + seconds + SLACK
        self.permissions.require(events, seconds=seconds, until=until, by_action=by_action)
        if not rules:
            return self.appender.append(events, seconds=seconds)
        known = self.known
        standings = foresee(events, known.get) if len(events) <= CHUNK else None
        if standings is not None:
            try:
                conforming, states = conform(events, standings)
                placed = self.appender.append(conforming, seconds=seconds)
            except (RuleBroken, VersionConflict) as error:
                known.forget(standings)
                if isinstance(error, VersionConflict) and error.stream in _insisted(events):
                    raise
            else:
                known.learn(events, placed, states)
                return placed
        try:
            return append_checked(
                self.engine,
                lambda _: events,
                given=_insisted(events),
                seconds=seconds,
                until=until,
                learn=known.learn,
            )
        except (RuleBroken, VersionConflict):
            # A repeated call: the rules speak of what came after it.
            with begin_within(self.engine, seconds, until=until) as connection:
                recorded = find_recorded(connection, events)
            if recorded is None:
                raise
            return recorded

    def append_spooled(self, wire: bytes, seconds: float) -> None:
        """See `Store`."""
        spooled = events_of(wire)
        if any(event.rules for event in spooled):
            until = time.monotonic() + seconds + SLACK
            permissions = Permissions(self.engine)
            append_spooled(permissions, wire, seconds=seconds, until=until)
        else:
            self.appender.append_wire(wire, spooled, seconds=seconds)

    @contextmanager
    def reading(self) -> Iterator[LogReader]:
        """See `Store`."""
        with self.engine.connect() as connection:
            yield DatabaseReader(connection, self.tenant_id)

    def close(self) -> None:
        """Close the connection that appends use."""
        self.appender.close()


def _insisted(events: Iterable[NewEvent]) -> set[str]:
    """The streams, as text, of which the caller expects a version."""
    return {str(each.stream) for each in events if each.expected_version is not ANY_VERSION}
