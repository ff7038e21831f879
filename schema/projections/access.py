"""How sessions and keys follow from the log."""

from quantum_forge.schema.events.access import (
    ApiKeyIssued,
    ApiKeyRevoked,
    ApiKeyUsed,
    SessionClosed,
    SessionExpired,
    SessionExtended,
    SessionOpened,
    SessionStateSaved,
)
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import entity_id, occurred_at
from quantum_forge.schema.tables import access as tables

user_sessions = Projection(
    tables.user_sessions,
    events=[SessionOpened, SessionStateSaved, SessionExtended],
    ends=[SessionClosed, SessionExpired],
    key={"id": entity_id},
    opens=[SessionOpened],
    columns={"last_activity": last(occurred_at())},
)

user_api_keys = Projection(
    tables.user_api_keys,
    events=[ApiKeyIssued, ApiKeyUsed, ApiKeyRevoked],
    key={"id": entity_id},
    opens=[ApiKeyIssued],
    columns={
        "last_used_at": last(occurred_at(ApiKeyUsed)),
        "revoked_at": last(occurred_at(ApiKeyRevoked)),
    },
)

PROJECTIONS = [user_sessions, user_api_keys]
