"""Check of events against the lifecycles of their entities, by states that are read or known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_EXIST,
    MUST_NOT_EXIST,
    NewEvent,
    Stream,
)
from quantum_forge.eventstore.base.errors import RuleBroken, VersionConflict
from quantum_forge.eventstore.recording.administration import (
    admin_locks,
    may_remove_admin,
    require_admin_left,
)
from quantum_forge.eventstore.recording.carried_ids import CarriedIds
from quantum_forge.eventstore.recording.entity_locks import hold
from quantum_forge.eventstore.recording.standings import Standing, read_standings
from quantum_forge.eventstore.recording.unique_names import (
    name_locks,
    names_entity,
    require_unique_names,
)
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.lifecycle import NEW, When, needed_states, rule_of


def checked(
    connection: Connection, events: Sequence[NewEvent]
) -> tuple[list[NewEvent], dict[Stream, str]]:
    """The events at the versions at which their streams let them happen, and the states after them.

    Each is checked against the state that those before it lead to. An expected version that an
    event has already is left as it is. Until the transaction ends, an entity that one of them needs
    in a state cannot leave it.

    Raises:
        RuleBroken: for the first event that may not happen now.
        LastAdmin: when they would leave a tenant without an admin.
        NameOfAnother: when they would give two projects or organisations one name.
        VersionConflict: for the first that expects another version than that of its stream.
    """
    ruled = {event.stream for event in events if event.stream.entity_type in LIFECYCLES}
    needed = {stream for event in events for stream, _ in _needs(event)}
    alone = [*_left(events), *admin_locks(events), *name_locks(events)]
    hold(connection, needed, exclusively=alone)
    standings = read_standings(connection, ruled | needed)
    conforming = conform(events, standings, CarriedIds(connection, events))
    require_admin_left(connection, events)
    require_unique_names(connection, events)
    return conforming


def conform(
    events: Sequence[NewEvent],
    standings: Mapping[Stream, Standing],
    carried: CarriedIds | None = None,
) -> tuple[list[NewEvent], dict[Stream, str]]:
    """The events at the versions of these standings, and the state of each stream after them.

    Args:
        events: in order; each is checked against the state that those before it lead to.
        standings: of every stream that an event with a rule goes to or needs.
        carried: what earlier events say; None where no rule asks for it.

    Raises:
        RuleBroken: for the first event that may not happen.
        VersionConflict: for the first that expects another version than that of its stream.
    """
    states = {stream: standing.state for stream, standing in standings.items()}
    given = {event.stream for event in events if event.expected_version is not ANY_VERSION}
    result: list[NewEvent] = []
    for event in events:
        stream, event_type = event.stream, event.event.event_type
        if (rule := rule_of(type(event.event))) is not None:
            version = standings[stream].version
            _require_version(event, stream, version)
            if (state := states[stream]) not in rule.states:
                raise RuleBroken(str(stream), state, event_type, rule.states)
            if rule.needs:
                for other, needs in _needs(event):
                    if states[other] != needs:
                        raise RuleBroken(str(other), states[other], event_type, (needs,))
            if rule.then is not None:
                states[stream] = rule.then
            if carried is not None:
                event = carried.into(event, rule)
            if event.expected_version is ANY_VERSION and stream not in given:
                event = msgspec.structs.replace(event, expected_version=version)
        result.append(event)
    return result, states


def _require_version(event: NewEvent, stream: Stream, version: int) -> None:
    expected = event.expected_version
    if expected is ANY_VERSION or expected == version or (expected == MUST_EXIST and version):
        return
    raise VersionConflict(str(stream), expected, version)


def foresee(
    events: Sequence[NewEvent], known: Callable[[Stream], Standing | None]
) -> dict[Stream, Standing] | None:
    """The standings that these events can be checked by without asking the database.

    They are assumptions: the append expects their versions, so a wrong one is a conflict. A stream
    that is not known is assumed to be new where the event may begin it.

    Returns:
        None where an event depends on other entities, or nothing is known of a stream.
    """
    standings: dict[Stream, Standing] = {}
    for event in events:
        rule = rule_of(type(event.event))
        if rule is None:
            continue
        if not _stands_alone(type(event.event), len(LIFECYCLES)):
            return None
        if may_remove_admin(event) or names_entity(event):
            return None
        if rule.needs and any(_needs(event)):
            return None
        if (stream := event.stream) in standings:
            continue
        expected = event.expected_version
        standing = known(stream)
        if expected == MUST_NOT_EXIST or (standing is None and expected is ANY_VERSION):
            if expected is ANY_VERSION and NEW not in rule.states:
                return None
            standing = Standing(0, NEW)
        elif standing is None or expected not in (ANY_VERSION, standing.version):
            return None
        standings[stream] = standing
    return standings


@cache
def _stands_alone(cls: type[Event], _: int) -> bool:
    """Whether an event takes nothing from earlier ones, and no other entity minds it.

    The second argument is how many lifecycles there are: each may need a state of this entity.
    """
    rule = rule_of(cls)
    return rule is None or not (
        rule.carries or rule.lacks or _leaves_needed(rule, needed_states(cls.entity_type))
    )


def _needs(event: NewEvent) -> Iterator[tuple[Stream, str]]:
    rule = rule_of(type(event.event))
    for name, (entity_type, state) in (rule.needs if rule else {}).items():
        if isinstance(id_ := getattr(event.event, name), UUID):
            yield Stream(event.tenant_id, entity_type, id_), state


def _left(events: Sequence[NewEvent]) -> Iterator[Stream]:
    """The entities that an event has leave a state which others may need."""
    types = {event.event.entity_type for event in events}
    needed = {entity_type: needed_states(entity_type) for entity_type in types}
    for event in events:
        rule = rule_of(type(event.event))
        if rule and _leaves_needed(rule, needed[event.event.entity_type]):
            yield event.stream


def _leaves_needed(rule: When, needed: frozenset[str]) -> bool:
    return rule.then is not None and bool(needed & {*rule.states} - {rule.then})
