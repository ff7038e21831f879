"""Appending by the rules: what may not happen now, by the lifecycle of its entity, is refused.

The streams are read, their rules checked, and the events appended at the versions that were read.
Where somebody else was faster, all of that is done again, so that a rule holds whoever writes.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Engine, select

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import VersionConflict
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.database.time_limit import begin_within
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.recording.lifecycle_check import checked
from quantum_forge.schema.tables import event_logs

TRIES = 12
"""How often an append is decided anew because others wrote to the same streams meanwhile."""

FIRST_PAUSE = 0.004
LONGEST_PAUSE = 0.25
"""Seconds at most before an append is decided anew: they double from one to the other."""

CHUNK = 5_000
"""Events sent by one statement; an append of more is several statements of one transaction."""

Learn = Callable[[Sequence[NewEvent], Sequence[Placed], Mapping[Stream, str]], object]
"""Called with events that were appended, where they are, and the states of their streams."""


def find_recorded(connection: Connection, events: Sequence[NewEvent]) -> list[Placed] | None:
    """Where these events are in the log, in the given order; None unless all of them are there.

    All of one tenant. Needs the right to read the log.
    """
    log = event_logs.c
    query = select(log.event_id, log.entity_id, log.id, log.version).where(
        log.tenant_id == events[0].tenant_id,
        log.entity_type.in_({event.event.entity_type for event in events}),
        log.entity_id.in_({event.entity_id for event in events}),
        log.event_id.in_([event.event_id for event in events]),
    )
    found = {(row.entity_id, row.event_id): row for row in connection.execute(query)}
    placed = []
    for event in events:
        row = found.get((event.entity_id, event.event_id))
        if row is None:
            return None
        placed.append(Placed(row.event_id, row.id, row.version, appended=False))
    return placed


def append_checked(
    engine: Engine,
    decide: Callable[[Connection], Sequence[NewEvent]],
    *,
    tries: int | None = None,
    given: Collection[str] = (),
    seconds: float | None = None,
    until: float | None = None,
    learn: Learn = lambda *_: None,
) -> list[Placed]:
    """Append what `decide` wants, by the rules, all or none; commits.

    Args:
        engine: of the database.
        decide: reads what it needs over the connection, writes nothing, and returns the events. It
            is called again when others wrote to the same streams meanwhile. Events that follow from
            what it read of their stream expect the version that it read first.
        tries: how often it is called at most; `TRIES` unless given.
        given: streams, as text, whose expected versions the caller insists on.
        seconds: for each statement.
        until: end of the whole, by `time.monotonic`.
        learn: called with the events, their places and the states of their streams.

    Raises:
        RuleBroken: when a rule does not allow it.
        EventRefused: when a payload does not fit its type.
        VersionConflict: when others were faster every time.
        DatabaseUnreachable, sqlalchemy.exc.OperationalError: when the time is over.
    """
    attempts = 0
    while True:
        attempts += 1
        try:
            with begin_within(engine, seconds, until=until) as connection:
                events, states = checked(connection, decide(connection))
                placed = append_in_chunks(connection, events)
        except VersionConflict as conflict:
            if attempts >= (tries or TRIES) or conflict.stream in given:
                raise
            pause_after_conflict(attempts)
        else:
            learn(events, placed, states)
            return placed


def pause_after_conflict(attempts: int) -> None:
    """Sleep before an append is decided anew, so that not all who were slower come back at once."""
    time.sleep(pause_after(attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE, random_part=1))


def append_in_chunks(connection: Connection, events: Sequence[NewEvent]) -> list[Placed]:
    """Append any number of events, all or none, as `append` does; does not commit.

    More than a chunk go in the order of their streams, so that two such appends cannot block each
    other; within a stream the order is as given.
    """
    if len(events) <= CHUNK:
        return append(connection, events)
    ordered = sorted(range(len(events)), key=lambda index: events[index].stream)
    placed: dict[int, Placed] = {}
    seen: dict[Stream, int] = defaultdict(int)
    for start in range(0, len(ordered), CHUNK):
        part = ordered[start : start + CHUNK]
        before = dict(seen)
        chunk: list[NewEvent] = []
        for index in part:
            event = events[index]
            expected = event.expected_version
            if expected is not ANY_VERSION and expected >= 0 and (more := before.get(event.stream)):
                event = msgspec.structs.replace(event, expected_version=expected + more)
            seen[event.stream] += 1
            chunk.append(event)
        placed |= dict(zip(part, append(connection, chunk), strict=True))
    return [placed[index] for index in range(len(events))]
