"""Entities, event types and rows as users of the front door name them."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from quantum_forge.eventstore.actions.by_name import Recorded
from quantum_forge.eventstore.base.codec import event_class
from quantum_forge.projections.registry import named
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.projection import Projection

Entity = UUID | Recorded
"""An entity: its id, or what `Forge.record` returned of it."""

Kind = str | type[Event]
"""An event type: its class, or its name such as "molecule_created"."""


def id_of(entity: Entity) -> UUID:
    """The id of an entity; raises TypeError for anything else."""
    if isinstance(entity, UUID):
        return entity
    if isinstance(entity, Recorded):
        return entity.entity_id
    raise TypeError(f"an entity must be a UUID, or a value that record() returned, not {entity!r}")


def type_names(types: Kind | Iterable[Kind] | None) -> list[str] | None:
    """The names of one event type, or of several; None stays None.

    Raises:
        EventRefused: when there is no such event type.
    """
    if types is None:
        return None
    kinds: Iterable[Kind] = [types] if isinstance(types, str | type) else types
    return [
        event_class(kind).event_type if isinstance(kind, str) else kind.event_type for kind in kinds
    ]


def key_parts(key: Entity | str | Sequence[str]) -> list[str]:
    """The key of a row as texts, one for each key column after the tenant."""
    if isinstance(key, UUID | Recorded):
        return [str(id_of(key))]
    if not isinstance(key, str | Sequence):
        raise TypeError(f"a row's key is an id, a text, or a sequence of texts, not {key!r}")
    return key.split(",") if isinstance(key, str) else [str(part) for part in key]


def projection_of(table: str) -> Projection:
    """The projection that fills a table; raises `UnknownProjection` when there is none."""
    (projection,) = named([table])
    return projection
