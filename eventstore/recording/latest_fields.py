"""Latest values of fields in streams, without a read model that may be behind."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.schema.domains import LIFECYCLES

_LATEST = text("""
    SELECT head.entity_id, wanted.name,
           (SELECT log.data -> wanted.name FROM event_logs AS log
             WHERE log.entity_id = head.entity_id AND log.entity_type = head.entity_type
               AND log.tenant_id = head.tenant_id AND log.id >= head.first_position
               AND (log.data ? wanted.name OR log.event_type = ANY (:beginnings))
             ORDER BY log.version DESC LIMIT 1) AS value
      FROM event_streams AS head CROSS JOIN unnest(:names) AS wanted (name)
     WHERE head.tenant_id = :tenant_id AND head.entity_type = :entity_type
       AND head.entity_id = ANY (:entity_ids)
""").bindparams(
    bindparam("names", type_=ARRAY(Text)),
    bindparam("beginnings", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
    bindparam("entity_ids", type_=ARRAY(Uuid)),
)
_LATEST = _LATEST.columns(entity_id=Uuid, name=Text, value=JSONB)  # type: ignore[assignment]


def latest_values(connection: Connection, stream: Stream, names: Iterable[str]) -> dict[str, Any]:
    """Return the value of each field in the last event of a stream that has it, as JSON, or None.

    Needs the right to read the log.
    """
    wanted = list(names)
    return _read(connection, [stream], wanted, ()).get(stream, dict.fromkeys(wanted))


def latest_ids(
    connection: Connection, streams: Iterable[Stream], name: str
) -> dict[Stream, UUID | None]:
    """The id that each of these entities was last given in a field, since it began.

    All of one tenant and one type of entity. Needs the right to read the log.
    """
    every = list(streams)
    if not every:
        return {}
    declared = LIFECYCLES.get(every[0].entity_type)
    beginnings = () if declared is None else declared.beginnings
    found = _read(connection, every, [name], beginnings)
    values = {stream: found.get(stream, {}).get(name) for stream in every}
    return {stream: value and UUID(value) for stream, value in values.items()}


def latest_texts(
    connection: Connection, streams: Iterable[Stream], name: str
) -> dict[Stream, str | None]:
    """The text that each of these entities was last given in a field; as `latest_ids`."""
    every = list(streams)
    if not every:
        return {}
    found = _read(connection, every, [name], ())
    return {stream: found.get(stream, {}).get(name) for stream in every}


def _read(
    connection: Connection, streams: list[Stream], names: list[str], beginnings: Iterable[str]
) -> dict[Stream, dict[str, Any]]:
    """The latest values, as JSON, of streams that exist; an event that begins one has no others."""
    by_id = {stream.entity_id: stream for stream in streams}
    parameters = {
        "tenant_id": streams[0].tenant_id,
        "entity_type": streams[0].entity_type,
        "entity_ids": list(by_id),
        "names": names,
        "beginnings": list(beginnings),
    }
    found: dict[Stream, dict[str, Any]] = {}
    for row in connection.execute(_LATEST, parameters):
        found.setdefault(by_id[row.entity_id], {})[row.name] = row.value
    return found
