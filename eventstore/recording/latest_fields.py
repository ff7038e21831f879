"""What a stream last told of an entity, field by field, without a read model that may be behind."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.eventstore.base.envelope import Stream

_LAST_TOLD = text("""
    SELECT wanted.name,
           (SELECT log.data -> wanted.name FROM event_logs AS log
             WHERE log.entity_id = :entity_id AND log.entity_type = :entity_type
               AND log.tenant_id = :tenant_id AND log.data ? wanted.name
             ORDER BY log.version DESC LIMIT 1) AS value
      FROM unnest(:names) AS wanted (name)
""").bindparams(
    bindparam("names", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
    bindparam("entity_id", type_=Uuid),
)
_LAST_TOLD = _LAST_TOLD.columns(name=Text, value=JSONB)  # type: ignore[assignment]


def last_told(connection: Connection, stream: Stream, names: Iterable[str]) -> dict[str, Any]:
    """The value of each field in the last event of a stream that has it, as JSON; None for none.

    Needs the right to read the log.
    """
    parameters = {
        "tenant_id": stream.tenant_id,
        "entity_type": stream.entity_type,
        "entity_id": stream.entity_id,
        "names": list(names),
    }
    return {row.name: row.value for row in connection.execute(_LAST_TOLD, parameters)}
