"""What may happen to an entity when: for each type of entity, the states that its events lead to.

A lifecycle is the rule that recorders check before they append. The log itself takes any order, so
that the history of another system can be imported as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from quantum_forge.schema.language.event import Event

NEW = "new"
"""The state of an entity of which nothing is recorded yet."""


Need = tuple[str, str]
"""Another type of entity, and the state that it has to be in."""


@dataclass(frozen=True)
class When:
    """The states in which an event may happen, and the state after it; None: the same.

    needs: fields that name another entity, where they name one, and the state that it must be in.
    carries: fields that repeat an id which the entity was given before, and under which name: they
    are filled in, so that a fold of the other entity finds them in the event.
    lacks: names of ids that the entity must not have now.
    """

    states: tuple[str, ...]
    then: str | None
    needs: Mapping[str, Need] = field(default_factory=dict)
    carries: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


def when(
    *states: str,
    then: str | None = None,
    needs: Mapping[str, Need] | None = None,
    carries: Mapping[str, str] | None = None,
    lacks: tuple[str, ...] = (),
) -> When:
    """The event may happen in any of these states, and leads to `then`, or changes nothing.

    when(NEW, then="queued", needs={"device_id": ("device", "online")})
    """
    return When(states, then, needs or {}, carries or {}, lacks)


@dataclass(frozen=True)
class Lifecycle:
    """The rules of one type of entity: which of its events may happen in which state."""

    entity_type: str
    rules: Mapping[str, When]

    @property
    def states(self) -> list[str]:
        """Every state that an event leads to, in the order of declaration."""
        return list(dict.fromkeys(rule.then for rule in self.rules.values() if rule.then))

    @property
    def beginnings(self) -> list[str]:
        """The event types that begin an entity, or begin it anew."""
        return [name for name, rule in self.rules.items() if NEW in rule.states]


_registry: dict[str, Lifecycle] = {}

LIFECYCLES: Mapping[str, Lifecycle] = MappingProxyType(_registry)
"""The lifecycle of each type of entity that has one; to the others anything may happen any time."""


def lifecycle(entity_type: str, rules: Mapping[type[Event], When]) -> Lifecycle:
    """Register what may happen when to entities of a type; all their event types must be there.

        lifecycle("device", {
            DeviceRegistered: when(NEW, then="offline"),
            DeviceWentOnline: when("offline", then="online"),
            DeviceRenamed: when("offline", "online"),
        })

    Raises:
        TypeError: when an event happens to another type of entity, or a state is never reached.
    """
    if entity_type in _registry:
        raise TypeError(f"the lifecycle of {entity_type!r} is declared twice")
    for cls in rules:
        if cls.entity_type != entity_type:
            raise TypeError(f"{cls.__name__} happens to a {cls.entity_type}, not a {entity_type}")
    declared = Lifecycle(entity_type, {cls.event_type: rule for cls, rule in rules.items()})
    known = {NEW, *declared.states}
    for event_type, rule in declared.rules.items():
        if unknown := [state for state in rule.states if state not in known]:
            raise TypeError(f"{event_type}: no event leads to {', '.join(unknown)}")
    _registry[entity_type] = declared
    return declared


def rule_of(cls: type[Event]) -> When | None:
    """The rule of an event type; None where anything may happen any time."""
    declared = LIFECYCLES.get(cls.entity_type)
    return None if declared is None else declared.rules.get(cls.event_type)


def depth(entity_type: str) -> int:
    """0 for what needs no other entity, else one more than the deepest that it needs."""
    declared = LIFECYCLES.get(entity_type)
    rules = declared.rules.values() if declared else ()
    needed = {name for rule in rules for name, _ in rule.needs.values()} - {entity_type}
    return max((depth(name) + 1 for name in needed), default=0)


def needed_states(entity_type: str) -> frozenset[str]:
    """The states of a type of entity that events of other entities need it to be in."""
    return frozenset(
        state
        for declared in LIFECYCLES.values()
        for rule in declared.rules.values()
        for needed, state in rule.needs.values()
        if needed == entity_type
    )


def status_after(*types: type[Event]) -> dict[type[Event], str]:
    """The state that each of these event types leads to, for the fold of a status column."""
    found: dict[type[Event], str] = {}
    for cls in types:
        state = LIFECYCLES[cls.entity_type].rules[cls.event_type].then
        if state is None:
            raise TypeError(f"{cls.__name__} leads to no state of its own")
        found[cls] = state
    return found
