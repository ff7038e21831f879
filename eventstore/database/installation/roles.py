"""Roles that the grants are made for, and their members."""

import msgspec
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.schema.sql import sql_of

PURPOSES = {
    "qforge_appender": "append events of its tenant through append_events, and nothing else",
    "qforge_projector": "read the log of every tenant and keep the read models up to date",
    "qforge_reader": "read the read models of its tenant",
    "qforge_auditor": "read the log and the read models of its tenant",
    "qforge_admin": "append, load in bulk, read and project for every tenant",
}


class DatabaseRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role, what it may do, and the logins that are members of it.

    bound: for members that an administrator bound to a tenant, which one.
    """

    name: str
    purpose: str
    exists: bool
    members: list[str]
    bound: dict[str, str]


_MEMBERS = text("""
    SELECT r.rolname AS role, m.rolname AS member,
           (SELECT substr(setting, length('qforge.tenant_id=') + 1)
              FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS setting
             WHERE s.setrole = m.oid AND starts_with(setting, 'qforge.tenant_id=')
             ORDER BY s.setdatabase DESC LIMIT 1) AS tenant
      FROM pg_roles AS r
      LEFT JOIN pg_auth_members AS a ON a.roleid = r.oid
      LEFT JOIN pg_roles AS m ON m.oid = a.member
     WHERE r.rolname = ANY (:names)
     ORDER BY r.rolname, m.rolname
""")


def create_roles(engine: Engine) -> None:
    """Make the roles that are missing; needs the right to create roles.

    What they may do is granted by the migrations.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(sql_of("roles"), execution_options={"no_parameters": True})


def roles_sql() -> str:
    """The SQL that makes the roles, for an administrator to run."""
    return sql_of("roles")


_ADVISORY = """
    SELECT format(:statement, p.oid::regprocedure)
      FROM pg_proc AS p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace
       AND p.proname ~ '^pg_(try_)?advisory_'
     ORDER BY p.oid::regprocedure::text
"""
ROLES_THAT_LOCK = ("qforge_appender", "qforge_projector", "qforge_admin")
"""Those whose members take advisory locks: by rules, and for rebuilds."""


def restrict_advisory_locks(engine: Engine, *, restrict: bool) -> int:
    """Let only this program's roles take advisory locks in this database, or all roles again.

    The owner of the database may, too. Other programs in the same database that use advisory locks
    need a grant of their own.

    Args:
        engine: of a superuser.
        restrict: false gives the right back to PUBLIC.

    Returns:
        How many functions were changed.

    Raises:
        NotAllowed: when the login is not a superuser, who owns these functions.
    """
    with engine.begin() as connection:
        superuser = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not connection.scalar(superuser):
            raise NotAllowed("only a superuser can revoke the use of PostgreSQL's advisory locks")
        owner = connection.scalar(
            text(
                "SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database"
                " WHERE datname = current_database()"
            )
        )
        ours = ", ".join(ROLES_THAT_LOCK)
        statements = (
            "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION %s TO {ours}, {owner}",
        )
        if not restrict:
            statements = (
                "GRANT EXECUTE ON FUNCTION %s TO PUBLIC",
                f"REVOKE EXECUTE ON FUNCTION %s FROM {ours}",
            )
        for statement in statements:
            changes = list(connection.scalars(text(_ADVISORY), {"statement": statement}))
            for change in changes:
                connection.exec_driver_sql(change)
    return len(changes)


def describe_roles(connection: Connection) -> list[DatabaseRole]:
    """Every role, in the order of its power."""
    members: dict[str, dict[str, str | None]] = {}
    for row in connection.execute(_MEMBERS, {"names": list(PURPOSES)}):
        found = members.setdefault(row.role, {})
        if row.member is not None:
            found[row.member] = row.tenant
    return [
        DatabaseRole(
            name=name,
            purpose=purpose,
            exists=name in members,
            members=list(members.get(name, {})),
            bound={m: t for m, t in members.get(name, {}).items() if t is not None},
        )
        for name, purpose in PURPOSES.items()
    ]
