"""Roles that the grants are made for, and their members."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, text

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.database.installation.bindings import bindings
from quantum_forge.schema.sql import sql_of

PURPOSES = {
    "qforge_appender": "append events of its tenant through append_events, and nothing else",
    "qforge_worker": "append events of its tenant about molecules, calculations and other work",
    "qforge_projector": "read the log of every tenant and keep the read models up to date",
    "qforge_reader": "read the read models of its tenant",
    "qforge_auditor": "read the log and the read models of its tenant",
    "qforge_admin": "append, load in bulk, read and project for every tenant",
}


class DatabaseRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role, what it may do, and the logins that are members of it.

    bound: the members that are bound to a tenant, with it. unlimited: of these, the ones on which
    the binding has no effect, because row-level security shows them every tenant.
    """

    name: str
    purpose: str
    exists: bool
    members: list[str]
    bound: dict[str, str]
    unlimited: list[str]


_MEMBERS = text("""
    SELECT r.rolname AS role, m.rolname AS member,
           (SELECT substr(setting, length('qforge.tenant_id=') + 1)
              FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS setting
             WHERE s.setrole = m.oid AND starts_with(setting, 'qforge.tenant_id=')
               AND s.setdatabase IN (0, (SELECT oid FROM pg_database
                                          WHERE datname = current_database()))
             ORDER BY s.setdatabase DESC LIMIT 1) AS tenant,
           m.rolsuper OR m.rolbypassrls
           OR EXISTS (SELECT FROM pg_roles AS every
                       WHERE every.rolname IN ('qforge_projector', 'qforge_admin')
                         AND pg_has_role(m.oid, every.oid, 'USAGE')) AS unlimited
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


class BuiltIn(msgspec.Struct, frozen=True):
    """Functions of PostgreSQL that everybody may call, unless that is revoked in a database.

    pattern: of their names. roles: that may call them even then, besides the database's owner.
    """

    what: str
    pattern: str
    roles: tuple[str, ...]


ADVISORY_LOCKS = BuiltIn(
    "advisory locks",
    "^pg_(try_)?advisory_",
    ("qforge_appender", "qforge_worker", "qforge_projector", "qforge_admin"),
)
"""By rules, and for rebuilds."""

LARGE_OBJECTS = BuiltIn("large objects", "^lo_|^lo(read|write)$", ())
"""Files within a database, which a reader could fill it with; this program has none."""

_STATEMENTS = """
    SELECT format(:statement, p.oid::regprocedure)
      FROM pg_proc AS p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ :pattern
     ORDER BY p.oid::regprocedure::text
"""


def restrict_functions(engine: Engine, functions: BuiltIn, *, restrict: bool) -> int:
    """Let only this program's roles call functions in this database, or all roles again.

    The owner of the database may, too. Other programs in the same database that use them need a
    grant of their own.

    Args:
        engine: of a superuser.
        functions: which.
        restrict: false gives the right back to PUBLIC.

    Returns:
        How many functions were changed.

    Raises:
        NotAllowed: when the login is not a superuser, who owns these functions.
    """
    with engine.begin() as connection:
        superuser = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not connection.scalar(superuser):
            raise NotAllowed(
                f"only a superuser can revoke the use of PostgreSQL's {functions.what}"
            )
        owner = connection.scalar(
            text(
                "SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database"
                " WHERE datname = current_database()"
            )
        )
        statements = [
            "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION %s TO {', '.join([*functions.roles, str(owner)])}",
        ]
        if not restrict:
            statements = ["GRANT EXECUTE ON FUNCTION %s TO PUBLIC"]
            if functions.roles:
                ours = ", ".join(functions.roles)
                statements.append(f"REVOKE EXECUTE ON FUNCTION %s FROM {ours}")
        for statement in statements:
            parameters = {"statement": statement, "pattern": functions.pattern}
            changes = list(connection.scalars(text(_STATEMENTS), parameters))
            for change in changes:
                connection.exec_driver_sql(change)
    return len(changes)


def describe_roles(connection: Connection) -> list[DatabaseRole]:
    """Every role, in the order of its power."""
    in_table = {login: str(tenant) for login, tenant in bindings(connection).items()}
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_MEMBERS, {"names": list(PURPOSES)}):
        found.setdefault(row.role, []).extend([row] if row.member is not None else [])
    return [_role(name, found.get(name), in_table) for name in PURPOSES]


def _role(name: str, rows: list[Row[Any]] | None, in_table: Mapping[str, str]) -> DatabaseRole:
    tenants = {row.member: row.tenant or in_table.get(row.member) for row in rows or ()}
    bound = {member: tenant for member, tenant in tenants.items() if tenant is not None}
    return DatabaseRole(
        name=name,
        purpose=PURPOSES[name],
        exists=rows is not None,
        members=list(tenants),
        bound=bound,
        unlimited=[row.member for row in rows or () if row.unlimited and row.member in bound],
    )
