"""Appending by the rules: what may not happen now, by the lifecycle of its entity, is refused.

The streams are read, their rules checked, and the events appended at the versions that were read.
Where somebody else was faster, all of that is done again, so that a rule holds whoever writes.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Connection, Engine, Text, Uuid, bindparam, text

from eventstore.append import append, translated_errors
from eventstore.envelope import ANY_VERSION, NewEvent, Placed, Stream
from eventstore.errors import RuleBroken, VersionConflict
from schema.events import LIFECYCLES
from schema.events.lifecycle import NEW

TRIES = 12
"""How often an append is decided anew because others wrote to the same streams meanwhile."""

CHUNK = 5_000
"""Events sent by one statement; an append of more is several statements of one transaction."""

# The type is compared as an expression, which no index has: without statistics, as after a load,
# the planner would read all events of these types for every stream.
_STANDINGS = text("""
    SELECT head.entity_id, head.version,
           (SELECT event_type FROM event_logs AS log
             WHERE log.entity_id = head.entity_id AND log.entity_type = head.entity_type
               AND log.tenant_id = head.tenant_id AND log.id >= head.first_position
               AND log.event_type || '' = ANY (:deciding)
             ORDER BY log.version DESC LIMIT 1) AS event_type
      FROM event_streams AS head
     WHERE head.tenant_id = :tenant_id AND head.entity_type = :entity_type
       AND head.entity_id = ANY (:entity_ids)
""").bindparams(
    bindparam("deciding", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
    bindparam("entity_ids", type_=ARRAY(Uuid)),
)


class Standing(msgspec.Struct, frozen=True):
    """How far a stream has come: its version, and the state of its entity by its lifecycle."""

    version: int
    state: str


def read_standings(connection: Connection, streams: Iterable[Stream]) -> dict[Stream, Standing]:
    """How each of these streams stands; one that does not exist is new, at version 0.

    Of an entity without a lifecycle the state is always new. Needs the right to read the log.
    """
    alike: dict[tuple[UUID, str], dict[UUID, Stream]] = defaultdict(dict)
    for stream in streams:
        alike[stream.tenant_id, stream.entity_type][stream.entity_id] = stream
    found: dict[Stream, Standing] = {}
    for (tenant_id, entity_type), by_id in alike.items():
        lifecycle = LIFECYCLES.get(entity_type)
        rules = {} if lifecycle is None else lifecycle.rules
        leading = {name: rule.then for name, rule in rules.items() if rule.then is not None}
        found |= dict.fromkeys(by_id.values(), Standing(0, NEW))
        parameters = {
            "tenant_id": tenant_id,
            "entity_type": entity_type,
            "entity_ids": list(by_id),
            "deciding": list(leading),
        }
        with translated_errors():
            for row in connection.execute(_STANDINGS, parameters):
                state = leading.get(row.event_type, NEW)
                found[by_id[row.entity_id]] = Standing(row.version, state)
    return found


def checked(connection: Connection, events: Sequence[NewEvent]) -> list[NewEvent]:
    """The events, expecting the versions at which their streams let them happen.

    Each is checked against the state that those before it lead to. An expected version that an
    event has already is left as it is.

    Raises:
        RuleBroken: for the first event that may not happen now.
    """
    ruled = {event.stream for event in events if event.stream.entity_type in LIFECYCLES}
    standings = read_standings(connection, ruled)
    states = {stream: standing.state for stream, standing in standings.items()}
    given = {event.stream for event in events if event.expected_version is not ANY_VERSION}
    result: list[NewEvent] = []
    for event in events:
        stream = event.stream
        if stream in ruled:
            lifecycle = LIFECYCLES[stream.entity_type]
            state = lifecycle.after(states[stream], event.event.event_type)
            if state is None:
                rule = lifecycle.rules[event.event.event_type]
                raise RuleBroken(str(stream), states[stream], event.event.event_type, rule.states)
            states[stream] = state
            if stream not in given:
                event = msgspec.structs.replace(event, expected_version=standings[stream].version)
        result.append(event)
    return result


def append_checked(
    engine: Engine, decide: Callable[[Connection], Sequence[NewEvent]]
) -> list[Placed]:
    """Append what `decide` wants, by the rules, all or none; commits.

    Args:
        engine: of the database.
        decide: reads what it needs over the connection, writes nothing, and returns the events. It
            is called again when others wrote to the same streams meanwhile.

    Raises:
        RuleBroken: when a rule does not allow it.
        EventRefused: when a payload does not fit its type.
        VersionConflict: when a stream is not at the version that an event was made to expect, or
            others were faster every time.
    """
    for further in range(TRIES - 1, -1, -1):
        try:
            with engine.begin() as connection:
                wanted = decide(connection)
                is_ours = all(event.expected_version is ANY_VERSION for event in wanted)
                return append_in_chunks(connection, checked(connection, wanted))
        except VersionConflict:
            if not further or not is_ours:
                raise
            # At most a few ms at first: whoever was faster is done by now.
            time.sleep(random.uniform(0, 0.002 * 2 ** min(TRIES - further, 6)))
    raise AssertionError("unreachable")


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
