"""Standings: the version of a stream, and the state of its entity by its lifecycle."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.log.append import translated_errors
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.language.lifecycle import NEW

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
