"""Tenant of a session, set in every transaction."""

from uuid import UUID

from sqlalchemy import Connection, Engine, event, func, select, text

_ADMINISTERS = text(
    "SELECT EXISTS (SELECT FROM pg_roles"
    " WHERE rolname = 'qforge_admin' AND pg_has_role(oid, 'USAGE'))"
)
_ACT_FOR = text("SELECT set_config('qforge.tenant_id', :tenant_id, true)")


def act_for(connection: Connection, tenant_id: UUID) -> None:
    """Let this transaction see and append only what belongs to a tenant.

    Transaction by transaction, because a session may change hands behind a pooler.
    """
    connection.execute(_ACT_FOR, {"tenant_id": str(tenant_id)})


def act_always_for(engine: Engine, tenant_id: UUID) -> None:
    """Let every transaction of an engine act for a tenant.

    Costs a round trip each, so only where it matters: an administrator sees every tenant anyway.
    """
    with engine.connect() as connection:
        if connection.execute(_ADMINISTERS).scalar_one():
            return

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        act_for(connection, tenant_id)


def sees_every_tenant(connection: Connection) -> bool:
    """Whether row-level security shows this login the events of every tenant."""
    roles = [
        func.pg_has_role(func.current_user(), role, "USAGE")
        for role in ("qforge_projector", "qforge_admin")
    ]
    query = select(~func.row_security_active("event_logs") | roles[0] | roles[1])
    return bool(connection.scalar(query))
