"""Decisions that hold: what they were made of is still true when what follows is appended.

A decision may need more than the state of an entity: an address that is taken, how often a key was
used, what a value was. Whoever adds to the streams that it reads meanwhile has it made again.
"""

from collections.abc import Callable, Collection, Sequence

import msgspec
from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.envelope import ANY_VERSION, NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import RuleBroken, VersionConflict
from quantum_forge.eventstore.recording.rules import TRIES, append_checked, pause_after_conflict
from quantum_forge.eventstore.recording.standings import Standing, read_standings


def append_decided(
    engine: Engine,
    streams: Collection[Stream],
    decide: Callable[[Connection], Sequence[NewEvent]],
) -> list[Placed]:
    """Append what follows from these streams, by the rules, all or none; commits.

    Args:
        engine: of the database.
        streams: what the decision is made of; at most one event is appended to each.
        decide: reads, writes nothing, and returns the events.

    Raises:
        RuleBroken, EventRefused: as `append_checked` does, and whatever `decide` raises.
        VersionConflict: when others were faster every time.
    """
    before: dict[Stream, Standing] = {}

    def pinned(connection: Connection) -> list[NewEvent]:
        # The versions first: whatever is read afterwards may be newer, and the append then fails.
        before.clear()
        before.update(read_standings(connection, streams))
        return [_at(before, event) for event in decide(connection)]

    attempts = 0
    while True:
        attempts += 1
        try:
            return append_checked(engine, pinned, tries=1)
        except VersionConflict:
            if attempts == TRIES:
                raise
        except RuleBroken:
            with engine.connect() as connection:
                if attempts == TRIES or read_standings(connection, streams) == before:
                    raise
        pause_after_conflict(attempts)


def _at(before: dict[Stream, Standing], event: NewEvent) -> NewEvent:
    if event.expected_version is not ANY_VERSION or event.stream not in before:
        return event
    return msgspec.structs.replace(event, expected_version=before[event.stream].version)
