"""Rule of projects and organisations: no two of a tenant have one name at a time.

Commands find them by their names. Two that are created at the same moment each see the name free.
So the names are looked up within the transaction that appends, under a lock of each name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import NameOfAnother
from quantum_forge.eventstore.recording.latest_fields import latest_texts
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectDeleted, ProjectUpdated
from quantum_forge.schema.domains.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationRenamed,
)
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.identity import natural_id


class _Kind(NamedTuple):
    """Events that give a name and that end the entity, and its state while it lives."""

    naming: tuple[type[Event], ...]
    ending: type[Event]
    living: str


_KINDS: Mapping[str, _Kind] = {
    "project": _Kind((ProjectCreated, ProjectUpdated), ProjectDeleted, "active"),
    "organization": _Kind(
        (OrganizationCreated, OrganizationRenamed), OrganizationDeleted, "present"
    ),
}

# By the index of types, of which these are few.
_NAMED = text("""
    SELECT DISTINCT entity_id FROM event_logs
     WHERE tenant_id = :tenant_id AND event_type = ANY (:types) AND data ->> 'name' = ANY (:names)
""").bindparams(
    bindparam("tenant_id", type_=Uuid),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("names", type_=ARRAY(Text)),
)


def names_entity(event: NewEvent) -> bool:
    """Return whether an event gives an entity a name that no other of its kind may have."""
    return _name_of(event) is not None


def name_locks(events: Iterable[NewEvent]) -> Iterator[Stream]:
    """The streams to hold exclusively while names are looked up: one for each name."""
    for event in events:
        if (name := _name_of(event)) is not None:
            kind = event.event.entity_type
            yield Stream(event.tenant_id, kind, natural_id("name", event.tenant_id, kind, name))


def require_unique_names(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Refuse events that give an entity the name of another one; `name_locks` are held.

    Raises:
        NameOfAnother: for the first of them.
    """
    for tenant_id, kind in {
        (each.tenant_id, each.event.entity_type) for each in events if names_entity(each)
    }:
        of_kind = [
            event
            for event in events
            if event.tenant_id == tenant_id and event.event.entity_type == kind
        ]
        holders = _holders(connection, tenant_id, kind, of_kind)
        for event in of_kind:
            if isinstance(event.event, _KINDS[kind].ending):
                holders.pop(event.entity_id, None)
            if (name := _name_of(event)) is None:
                continue
            for other, its_name in holders.items():
                if its_name == name and other != event.entity_id:
                    raise NameOfAnother(kind, name, other)
            holders[event.entity_id] = name


def _name_of(event: NewEvent) -> str | None:
    kind = _KINDS.get(event.event.entity_type)
    if kind is None or not isinstance(event.event, kind.naming):
        return None
    name = getattr(event.event, "name", None)
    return name if isinstance(name, str) else None


def _holders(
    connection: Connection, tenant_id: UUID, kind: str, events: Sequence[NewEvent]
) -> dict[UUID, str]:
    """The living entities that have one of the names now, by the log, with their names."""
    names = {name for event in events if (name := _name_of(event)) is not None}
    types = [cls.event_type for cls in _KINDS[kind].naming]
    parameters = {"tenant_id": tenant_id, "types": types, "names": sorted(names)}
    streams = [Stream(tenant_id, kind, id_) for id_ in connection.scalars(_NAMED, parameters)]
    if not streams:
        return {}
    standings = read_standings(connection, streams)
    living = [stream for stream in streams if standings[stream].state == _KINDS[kind].living]
    found = latest_texts(connection, living, "name")
    return {stream.entity_id: name for stream, name in found.items() if name in names}
