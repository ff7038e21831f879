"""Ids that entities were given earlier, for the events that repeat them or must find none."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.schema.language.lifecycle import NEW, When, rule_of


class CarriedIds:
    """The ids that entities were given, for the events that repeat them or need none."""

    def __init__(self, connection: Connection, events: Sequence[NewEvent]) -> None:
        self._latest: dict[Stream, dict[str, UUID | None]] = defaultdict(dict)
        wanted: dict[tuple[UUID, str, str], list[Stream]] = defaultdict(list)
        for event in events:
            rule = rule_of(type(event.event))
            for name in (*rule.carries.values(), *rule.lacks) if rule else ():
                wanted[event.tenant_id, event.event.entity_type, name].append(event.stream)
        for (_, _, name), streams in wanted.items():
            for stream, latest in latest_ids(connection, streams, name).items():
                self._latest[stream][name] = latest

    def into(self, event: NewEvent, rule: When) -> NewEvent:
        """The event with what it repeats, which counts from now on for those after it."""
        known = self._latest.get(event.stream)
        if known is None:
            return event
        for name in rule.lacks:
            if known[name] is not None:
                raise EventRefused(
                    event.event.event_type,
                    f"the {name} is already {known[name]}, which must end first",
                )
        fields: dict[str, UUID | None] = {}
        for name, source in rule.carries.items():
            fields[name] = latest = known[source]
            if (claimed := getattr(event.event, name)) not in (msgspec.UNSET, latest):
                raise EventRefused(
                    event.event.event_type,
                    f"{name} is {claimed}, but {latest} was recorded before - at `$.{name}`",
                )
        if fields:
            payload = msgspec.structs.replace(event.event, **fields)
            event = msgspec.structs.replace(event, event=payload)
        for source in known:
            now = getattr(event.event, source, msgspec.UNSET)
            if now is not msgspec.UNSET or NEW in rule.states:
                known[source] = None if now is msgspec.UNSET else now
        return event
