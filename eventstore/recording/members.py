"""Which entities belong to others now, whatever has been projected: a read model and what follows.

A read model is an index of the log up to its checkpoint. What it says, together with the events
above the checkpoint, finds every entity that may belong; its own stream says whether it does.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Table, Text, TextClause, Uuid, bindparam, text

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains import EVENTS

_CANDIDATES = """
    WITH projected AS (
        SELECT coalesce(max(position), 0) AS position
          FROM projection_checkpoints WHERE projection = '{table}'
    )
    SELECT id FROM {table} WHERE tenant_id = :tenant_id AND {column} = ANY (:ids)
    UNION
    SELECT entity_id FROM event_logs
     WHERE id > (SELECT position FROM projected) AND tenant_id = :tenant_id
       AND event_type = ANY (:telling) AND data ->> '{column}' = ANY (CAST(:ids AS text[]))
"""


def members(
    connection: Connection,
    tenant_id: UUID,
    table: Table,
    entity_type: str,
    column: str,
    ids: Collection[UUID],
    *,
    state: str = "present",
) -> dict[UUID, int]:
    """The entities of a type, in a state, of which a field was last told to be one of these ids.

    Args:
        connection: of somebody who may read the log and the read models.
        tenant_id: whose they are.
        table: the read model with one row per entity, its key `id`.
        entity_type: of the entities.
        column: of the table, and field of the events that fill it.
        ids: which the field may be.
        state: by the lifecycle of the entities.

    Returns:
        The version of the stream of each, by id: nothing else is true of it at that version.
    """
    if not ids:
        return {}
    found = connection.scalars(
        _query(table.name, column),
        {
            "tenant_id": tenant_id,
            "ids": list(ids),
            "telling": _telling(entity_type, column),
        },
    )
    streams = [Stream(tenant_id, entity_type, id_) for id_ in found]
    # Versions first: what is read afterwards may be newer, and an append at the version then fails.
    standings = read_standings(connection, streams)
    latest = latest_ids(connection, streams, column)
    wanted = set(ids)
    return {
        stream.entity_id: standings[stream].version
        for stream in streams
        if latest[stream] in wanted and standings[stream].state == state
    }


def _query(table: str, column: str) -> TextClause:
    return text(_CANDIDATES.format(table=table, column=column)).bindparams(
        bindparam("tenant_id", type_=Uuid),
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("telling", type_=ARRAY(Text)),
    )


def _telling(entity_type: str, field: str) -> list[str]:
    return [
        name
        for name, cls in EVENTS.items()
        if cls.entity_type == entity_type and field in cls.__struct_fields__
    ]
