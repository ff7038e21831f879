"""Roles by which Supabase or PostgREST, standing before the database, reads and writes for others.

They become members of this program's roles, and have no right of their own: whatever else the host
grants them to new objects is revoked by `qforge db upgrade`. Row-level security shows each request
the rows of the tenant in its claims, which the gateway sets (`request.jwt.claims`).
"""

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from quantum_forge.eventstore.base.errors import GatewayMissing, NotAllowed

MEMBERSHIPS: Mapping[str, tuple[str, ...]] = {
    "anon": (),
    "authenticated": ("qforge_reader",),
    "service_role": ("qforge_auditor", "qforge_appender"),
}
"""What each role of the gateway becomes a member of: requests without a token, those of users, and
those of programs with the secret key."""

_WANTED = {(member, role) for member, roles in MEMBERSHIPS.items() for role in roles}

_FORBIDDEN = "42501"

_NAMES = text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:names)")

_MEMBERS = text("""
    SELECT m.rolname AS member, r.rolname AS role
      FROM pg_auth_members AS a
      JOIN pg_roles AS r ON r.oid = a.roleid
      JOIN pg_roles AS m ON m.oid = a.member
     WHERE m.rolname = ANY (:names) AND starts_with(r.rolname::text, 'qforge_')
""")

_BYPASSING = text("""
    SELECT rolname FROM pg_roles WHERE rolname = ANY (:names) AND (rolbypassrls OR rolsuper)
     ORDER BY rolname
""")


def gateway_sql() -> str:
    """The SQL that makes the memberships, for an administrator to run."""
    return "".join(f"{statement};\n" for statement in _grants(_WANTED))


def set_gateway(engine: Engine, *, grants: bool) -> list[str]:
    """Make the gateway's roles members of this program's, or end these memberships.

    Args:
        engine: of the owner of the database, or a superuser.
        grants: false ends the memberships.

    Returns:
        The statements that changed something.

    Raises:
        GatewayMissing: when the server has not the gateway's roles.
        NotAllowed: when this login may not grant its roles.
    """
    names = list(MEMBERSHIPS)
    with engine.begin() as connection:
        found = set(connection.scalars(_NAMES, {"names": names}))
        if missing := [name for name in names if name not in found] if grants else []:
            raise GatewayMissing(missing)
        known = {(row.member, row.role) for row in connection.execute(_MEMBERS, {"names": names})}
        changes = (
            _grants(_WANTED - known)
            if grants
            else [f"REVOKE {role} FROM {member}" for member, role in sorted(known & _WANTED)]
        )
        for change in changes:
            _change(connection, change)
    return changes


def bypassing(connection: Connection) -> list[str]:
    """Return the gateway's roles that row-level security does not hold."""
    return list(connection.scalars(_BYPASSING, {"names": list(MEMBERSHIPS)}))


def _grants(memberships: set[tuple[str, str]]) -> list[str]:
    return [f"GRANT {role} TO {member}" for member, role in sorted(memberships)]


def _change(connection: Connection, statement: str) -> None:
    try:
        connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _FORBIDDEN:
            raise
        raise NotAllowed(
            f"this login may not run {statement}: an administrator can, "
            "with what `qforge db roles --supabase --sql` prints"
        ) from error
