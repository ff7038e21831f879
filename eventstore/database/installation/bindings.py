"""Logins bound to one tenant, whose rows alone they see and append, whatever their session sets."""

from uuid import UUID

from sqlalchemy import Connection, Engine, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from quantum_forge.eventstore.base.errors import LoginNotBound
from quantum_forge.schema.tables import login_bindings

_LOGIN = text("""
    SELECT r.rolcanlogin AS logs_in,
           r.rolsuper AS super,
           r.rolbypassrls AS bypasses,
           pg_has_role(r.oid, c.relowner, 'USAGE') AS owns,
           ARRAY(SELECT m.rolname::text FROM pg_roles AS m
                  WHERE m.rolname IN ('qforge_projector', 'qforge_admin')
                    AND pg_has_role(r.oid, m.oid, 'USAGE') ORDER BY m.rolname) AS roles,
           EXISTS (SELECT FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS setting
                    WHERE s.setrole = r.oid
                      AND starts_with(setting, 'qforge.tenant_id=')) AS altered
      FROM pg_roles AS r
      JOIN pg_class AS c ON c.oid = 'login_bindings'::regclass
     WHERE r.rolname = :login
""")


def bind_login(engine: Engine, login: str, tenant_id: UUID) -> None:
    """Bind a login to a tenant, from its next statement on; another binding of it is replaced.

    Raises:
        LoginNotBound: when there is no such login, or it would still see every tenant.
        NotAllowed: unless the caller owns the tables or is a member of qforge_admin.
    """
    with engine.begin() as connection:
        binding = insert(login_bindings).values(
            login=login,
            tenant_id=tenant_id,
            bound_at=func.clock_timestamp(),
            bound_by=text("session_user"),
        )
        connection.execute(
            binding.on_conflict_do_update(
                index_elements=["login"],
                set_={
                    name: binding.excluded[name] for name in ("tenant_id", "bound_at", "bound_by")
                },
            )
        )
        # Afterwards, so that a standby names its primary whoever is to be bound.
        _require_bindable(connection, login)


def unbind_login(engine: Engine, login: str) -> None:
    """Undo the binding of a login, which may have been dropped meanwhile.

    Raises:
        LoginNotBound: when it was not bound by `bind_login`.
        NotAllowed: unless the caller owns the tables or is a member of qforge_admin.
    """
    with engine.begin() as connection:
        gone = connection.execute(delete(login_bindings).where(login_bindings.c.login == login))
        if gone.rowcount:
            return
        row = connection.execute(_LOGIN, {"login": login}).one_or_none()
        raise LoginNotBound(
            login,
            f'it is bound by ALTER ROLE; a superuser unbinds it: ALTER ROLE "{login}" RESET'
            " qforge.tenant_id"
            if row is not None and row.altered
            else "`qforge db roles` shows which logins are bound",
        )


def bindings(connection: Connection) -> dict[str, UUID]:
    """Every login that is bound by `bind_login`, with its tenant, where the caller may see them."""
    readable = text(
        "SELECT has_table_privilege(oid, 'SELECT') FROM pg_class"
        " WHERE oid = to_regclass('public.login_bindings')"
    )
    if not connection.scalar(readable):
        return {}
    query = select(login_bindings.c.login, login_bindings.c.tenant_id)
    return {row.login: row.tenant_id for row in connection.execute(query)}


def _require_bindable(connection: Connection, login: str) -> None:
    """Raise `LoginNotBound` unless a binding of the login would have an effect."""
    row = connection.execute(_LOGIN, {"login": login}).one_or_none()
    if row is None:
        raise LoginNotBound(
            login, f'there is no such login; create it: CREATE ROLE "{login}" LOGIN'
        )
    if not row.logs_in:
        raise LoginNotBound(login, "it is a role that cannot log in; bind the logins that use it")
    if row.super or row.bypasses or row.owns:
        raise LoginNotBound(
            login,
            "row-level security does not apply to superusers, to roles with BYPASSRLS, and to the"
            " owner of the tables; bind another login",
        )
    if row.roles:
        raise LoginNotBound(
            login,
            f"it acts for every tenant as a member of {' and '.join(row.roles)}; revoke that first:"
            f' REVOKE {", ".join(row.roles)} FROM "{login}"',
        )
    if row.altered:
        raise LoginNotBound(
            login,
            "it is bound by ALTER ROLE already, which takes precedence; a superuser can undo that:"
            f' ALTER ROLE "{login}" RESET qforge.tenant_id',
        )
