"""Histories in the log for the length of a test, read back as they were recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.read import EVERYTHING, fetch, matching


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """A transaction that leaves nothing behind."""
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def recorded(connection: Connection, history: list[NewEvent]) -> list[RecordedEvent]:
    """Append a history and read it back, before it is committed."""
    append(connection, history)
    return in_order(connection)


def bounds(events: list[RecordedEvent]) -> tuple[int, int]:
    """The positions just before the first and at the last event."""
    return (events[0].position - 1, events[-1].position) if events else (0, 0)


def in_order(connection: Connection) -> list[RecordedEvent]:
    """Every event that this transaction sees."""
    return fetch(connection, matching(EVERYTHING).order_by("position"))
