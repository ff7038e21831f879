"""Finding users and their sessions in their tables; every query is bound to a tenant."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, not_, select

from quantum_forge.schema.domains.access import user_sessions
from quantum_forge.schema.domains.users import users


def select_users(tenant_id: UUID, *, limit: int) -> Select[Any]:
    """The newest users, without the hashes of their passwords."""
    shown = [column for column in users.c if column.name not in ("tenant_id", "hashed_password")]
    return (
        select(*shown)
        .where(users.c.tenant_id == tenant_id)
        .order_by(users.c.created_at.desc(), users.c.id)
        .limit(limit)
    )


def select_sessions(tenant_id: UUID, user_id: UUID) -> Select[Any]:
    """A user's open sessions, the last used first, without the hashes of their tokens.

    None of a user who is deactivated now: they let nobody in.
    """
    deactivated = exists().where(
        users.c.tenant_id == tenant_id, users.c.id == user_id, users.c.is_active.is_(False)
    )
    shown = [column for column in user_sessions.c if column.name not in ("tenant_id", "token_hash")]
    return (
        select(*shown)
        .where(
            user_sessions.c.tenant_id == tenant_id,
            user_sessions.c.user_id == user_id,
            not_(deactivated),
        )
        .order_by(user_sessions.c.last_activity.desc(), user_sessions.c.id)
    )
