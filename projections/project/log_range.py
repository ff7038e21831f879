"""Event types in a range of the log, read once for all projections."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Label, Select, func, select

from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs


class Contents(msgspec.Struct, frozen=True):
    """How many events, and the XOR of the hashes of their positions, whatever the order."""

    events: int = 0
    ids_hash: int = 0


class Look(msgspec.Struct, frozen=True):
    """What there is of each event type."""

    by_type: Mapping[str, Contents]

    def of(self, event_types: Iterable[str]) -> Contents:
        """What there is of these types together."""
        events = ids_hash = 0
        for event_type in event_types:
            if (contents := self.by_type.get(event_type)) is not None:
                events += contents.events
                ids_hash ^= contents.ids_hash
        return Contents(events, ids_hash)


def look(connection: Connection, after: int, upto: int) -> Look:
    """Count the events in (`after`, `upto`] by type."""
    query = (
        select(event_logs.c.event_type, *_counted())
        .where(event_logs.c.id > after, event_logs.c.id <= upto)
        .group_by(event_logs.c.event_type)
    )
    return Look({row.event_type: Contents(*row[1:]) for row in connection.execute(query)})


def count_events(
    connection: Connection, projection: Projection, after: int, upto: int
) -> tuple[int, int]:
    """How many events of its types a range holds, and the XOR of the hashes of their positions."""
    query: Select[Any] = select(*_counted()).where(
        event_logs.c.id > after,
        event_logs.c.id <= upto,
        event_logs.c.event_type.in_(projection.reads),
    )
    events, ids_hash = connection.execute(query).one()
    return events, ids_hash


def _counted() -> tuple[Label[Any], Label[Any]]:
    hashes = func.bit_xor(func.hashint8extended(event_logs.c.id, 0, type_=BigInteger))
    return func.count().label("events"), func.coalesce(hashes, 0).label("ids_hash")
