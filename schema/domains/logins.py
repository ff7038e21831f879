"""Logins of the database, and the user whom each of them stands for."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta
from sqlalchemy import Index, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import column, read_model
from quantum_forge.schema.language.value import entity_id

Login = Annotated[str, Meta(min_length=1, max_length=63)]
"""The name of a PostgreSQL role that may log in."""


def login_id(tenant_id: UUID, login: str) -> UUID:
    """Return the id of a login in a tenant."""
    return natural_id("database_login", tenant_id, login)


def _by_name(tenant_id: UUID, linked: Any) -> UUID:
    return login_id(tenant_id, linked.login)


@event("database_login", identity=_by_name)
class LoginLinked(Event, frozen=True, kw_only=True):
    """Who connects with this login acts as this user; a link to another user ends."""

    login: Login
    user_id: UUID


@event("database_login", identity=_by_name)
class LoginUnlinked(Event, frozen=True, kw_only=True):
    """Who connects with this login acts as no user."""

    login: Login


lifecycle(
    "database_login",
    {
        LoginLinked: when(
            NEW, "linked", "unlinked", then="linked", needs={"user_id": ("user", "active")}
        ),
        LoginUnlinked: when("linked", then="unlinked"),
    },
)

user_logins = read_model(
    "user_logins",
    "One row per login of the database that is linked to a user",
    [column("id", Uuid, "uuid5 of tenant and login")],
    column("login", Text, "Name of the PostgreSQL role", required=True),
    column("user_id", Uuid, "User as whom the login acts", required=True),
    Index("user_logins_user_idx", "tenant_id", "user_id"),
)

projection(
    user_logins,
    events=[LoginLinked],
    ends=[LoginUnlinked],
    key={"id": entity_id},
    opens=[LoginLinked],
)
