"""Checks of roles, grants, row-level security and the functions that guard the log."""

import re

from sqlalchemy import Connection, text

from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.database.installation.foreign_rights import foreign_rights
from quantum_forge.eventstore.database.installation.roles import PURPOSES, describe_roles
from quantum_forge.eventstore.doctor.checks import declared
from quantum_forge.eventstore.doctor.checks.declared import Grant
from quantum_forge.eventstore.doctor.checks.finding import (
    Finding,
    ok,
    problem,
    psql,
    warning,
)
from quantum_forge.schema.domains import METADATA

_LOGIN = text("""
    SELECT session_user::text AS login, r.rolsuper AS super,
           ARRAY(SELECT m.rolname::text FROM pg_roles AS m
                  WHERE m.rolname = ANY (:names) AND NOT r.rolsuper
                    AND pg_has_role(current_user, m.oid, 'USAGE')
                  ORDER BY m.rolname) AS roles,
           coalesce((SELECT pg_has_role(current_user, relowner, 'USAGE')
                       FROM pg_class WHERE oid = to_regclass('event_logs')),
                    (SELECT pg_has_role(current_user, datdba, 'USAGE')
                       FROM pg_database WHERE datname = current_database())) AS owns
      FROM pg_roles AS r WHERE r.rolname = current_user
""")
_ROLES = text("""
    SELECT rolname AS name, rolsuper OR rolbypassrls OR rolcreaterole AS mighty,
           rolcanlogin AS login
      FROM pg_roles WHERE rolname = ANY (:names)
""")
_GRANTS = text("""
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, c.relname AS name,
           r.rolname AS role, a.privilege_type AS privilege, c.relispartition AS is_partition
      FROM pg_class AS c
     CROSS JOIN aclexplode(c.relacl) AS a
      JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
       AND r.rolname = ANY (:roles)
     UNION ALL
    SELECT 'table', c.relname, r.rolname,
           format('%s (%s)', a.privilege_type, t.attname), c.relispartition
      FROM pg_class AS c
      JOIN pg_attribute AS t ON t.attrelid = c.oid AND NOT t.attisdropped
     CROSS JOIN aclexplode(t.attacl) AS a
      JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
       AND r.rolname = ANY (:roles)
     UNION ALL
    SELECT 'function', p.proname, r.rolname, a.privilege_type, false
      FROM pg_proc AS p
     CROSS JOIN aclexplode(p.proacl) AS a
      JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE p.pronamespace = 'public'::regnamespace AND r.rolname = ANY (:roles)
""")
_ROW_SECURITY = text("""
    SELECT relname AS name, relrowsecurity AS enabled, relforcerowsecurity AS forced
      FROM pg_class
     WHERE oid = ANY (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event_logs'::regclass)
     ORDER BY relname
""")
_POLICIES = text("""
    SELECT tablename, policyname, permissive, roles::text[] AS roles, cmd, qual, with_check
      FROM pg_policies WHERE schemaname = 'public' ORDER BY tablename, policyname
""")
_LOGINS = text("""
    SELECT r.rolname AS login, r.rolbypassrls AS bypasses, quote_ident(r.rolname) AS quoted,
           ARRAY(SELECT q.rolname::text FROM pg_roles AS q
                  WHERE q.rolname = ANY (:names) AND pg_has_role(r.oid, q.oid, 'MEMBER')
                  ORDER BY q.rolname) AS roles,
           CASE WHEN pg_has_role(r.oid, c.relowner, 'MEMBER')
                THEN quote_ident(pg_get_userbyid(c.relowner)) END AS owner
      FROM pg_roles AS r JOIN pg_class AS c ON c.oid = 'event_logs'::regclass
     WHERE r.rolcanlogin AND NOT r.rolsuper AND r.oid <> c.relowner
     ORDER BY r.rolname
""")
_MAKERS = text("""
    SELECT coalesce(r.rolname, 'PUBLIC')::text AS role,
           coalesce(quote_ident(r.rolname), 'PUBLIC') AS quoted
      FROM pg_namespace AS n
     CROSS JOIN aclexplode(n.nspacl) AS a
      LEFT JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
       AND NOT coalesce(r.rolsuper, false)
       AND a.grantee <> (SELECT relowner FROM pg_class WHERE oid = 'event_logs'::regclass)
     ORDER BY 1
""")
_GROUPS = text("""
    SELECT m.rolname AS member, r.rolname AS role
      FROM pg_auth_members AS a
      JOIN pg_roles AS r ON r.oid = a.roleid
      JOIN pg_roles AS m ON m.oid = a.member
     WHERE m.rolname = ANY (:names)
     ORDER BY 1, 2
""")

_EVERY_TENANT = {"qforge_projector", "qforge_admin"}
_LOG = ("event_logs", "event_streams")
_CONDITIONS = {
    "own_tenant": ("tenant_id=selectcurrent_tenant", (None,)),
    "every_tenant": ("true", (None, "true")),
    "every_reader": ("true", (None,)),
}
"""What the policies let through, as PostgreSQL prints it less what `_bare` strips."""


def login(connection: Connection) -> Finding:
    """What whoever asks may do."""
    check = "login"
    row = connection.execute(_LOGIN, {"names": list(PURPOSES)}).one()
    if row.super:
        return ok(check, f"{row.login} is a superuser: row-level security does not apply to it")
    if row.owns:
        return ok(check, f"{row.login} owns the tables: row-level security does not apply to it")
    if row.roles:
        return ok(check, f"{row.login} may {'; '.join(PURPOSES[name] for name in row.roles)}")
    return problem(
        check,
        f"{row.login} is not a member of any role of this program, and has no privileges",
        "let an administrator grant it the role that it needs (see: qforge db roles)",
        psql(f'GRANT qforge_reader TO "{row.login}"'),
    )


def roles(connection: Connection) -> Finding:
    """Whether every role is there, without rights that undo the others' limits."""
    check = "roles"
    found = {row.name: row for row in connection.execute(_ROLES, {"names": list(PURPOSES)})}
    missing = [name for name in PURPOSES if name not in found]
    if missing:
        return problem(check, f"missing: {', '.join(missing)}", "create them", "qforge db roles")
    mighty = [name for name, row in found.items() if row.mighty]
    if mighty:
        return problem(
            check,
            f"{', '.join(mighty)} can bypass row-level security or create roles",
            "revoke that attribute",
            *(psql(f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS NOCREATEROLE") for name in mighty),
        )
    groups = connection.execute(_GROUPS, {"names": list(PURPOSES)}).all()
    if groups:
        return problem(
            check,
            shortened([f"{row.member} is a member of {row.role}" for row in groups])
            + ", and its members with it",
            "revoke that; make logins members instead",
            *(psql(f'REVOKE "{row.role}" FROM "{row.member}"') for row in groups),
        )
    logins = [name for name, row in found.items() if row.login]
    if logins:
        return warning(
            check,
            f"{', '.join(logins)} can log in; a login should be a member instead",
            "revoke that attribute",
            *(psql(f"ALTER ROLE {name} NOLOGIN") for name in logins),
        )
    return ok(check, f"all {len(found)} exist")


def logins(connection: Connection) -> Finding:
    """Which logins see every tenant, and whether one does that should not."""
    check = "logins"
    shown = {role.name: role for role in describe_roles(connection)}
    bound = {login for role in shown.values() for login in role.bound}
    said, commands, every = [], [], []
    rows = connection.execute(_LOGINS, {"names": list(PURPOSES)}).all()
    for row in rows:
        powers = sorted(_EVERY_TENANT & set(row.roles))
        if row.bypasses and (row.roles or row.owner):
            said.append(f"{row.login} bypasses row-level security")
            commands.append(psql(f"ALTER ROLE {row.quoted} NOBYPASSRLS"))
        if row.owner and (row.roles or row.login in bound):
            said.append(f"{row.login} is a member of {row.owner}, which owns the tables")
            commands.append(psql(f"REVOKE {row.owner} FROM {row.quoted}"))
        if powers and row.login in bound:
            said.append(
                f"{row.login} is bound to a tenant, and sees all as a member of"
                f" {' and '.join(powers)}"
            )
            commands.append(psql(f"REVOKE {', '.join(powers)} FROM {row.quoted}"))
        if powers or row.owner:
            every.append(f"{row.login} ({', '.join([*powers, *filter(None, [row.owner])])})")
    if said:
        return problem(check, shortened(said), "let it see the tenant that it is for", *commands)
    limited = set(PURPOSES) - _EVERY_TENANT
    twice = [row for row in rows if "qforge_admin" in row.roles and limited & set(row.roles)]
    if twice:
        return warning(
            check,
            f"{shortened([row.login for row in twice])} may do everything as a member of"
            " qforge_admin, and is a member of a role that may do less",
            "revoke the one that was not meant",
            *(psql(f"REVOKE qforge_admin FROM {row.quoted}") for row in twice),
        )
    who = shortened(every) if every else "none"
    return ok(check, f"those that see every tenant, superusers apart: {who}")


def schema(connection: Connection) -> Finding:
    """Whether others than the owner may make objects beside those of the log."""
    check = "schema"
    rows = connection.execute(_MAKERS).all()
    if not rows:
        return ok(check, "only its owner makes objects in the schema public")
    return warning(
        check,
        f"{shortened([row.role for row in rows])} may make objects in the schema public, which the"
        " functions of the log search for names",
        "revoke that, or give other programs a schema of their own",
        *(psql(f"REVOKE CREATE ON SCHEMA public FROM {row.quoted}") for row in rows),
    )


def grants(connection: Connection) -> Finding:
    """Whether every role may do what the schema declares, and nobody anything else."""
    check = "grants"
    wanted = declared.grants()
    known = {(grant.kind, grant.name) for grant in wanted}
    found, surplus = set(), set()
    for row in connection.execute(_GRANTS, {"roles": list(PURPOSES)}):
        grant = Grant(row.kind, row.name, row.role, row.privilege)
        found.add(grant)
        is_ours = row.is_partition or row.name in _LOG or (row.kind, row.name) in known
        if grant not in wanted and is_ours:
            surplus.add(grant)
    missing = wanted - found
    foreign = foreign_rights(connection)
    if not missing and not surplus and not foreign:
        return ok(check, f"all {len(wanted)} are as declared, and no other role has any")
    said = [f"{_words(grant)} is missing" for grant in sorted(missing)]
    said += [f"{_words(grant)} is not declared" for grant in sorted(surplus)]
    said += [f"{each.rights} on {each.name} for {each.role} is not declared" for each in foreign]
    # To revoke the right to a table revokes those to its columns.
    again = {
        grant
        for grant in wanted
        for other in surplus
        if (grant.kind, grant.name, grant.role) == (other.kind, other.name, other.role)
        and grant.privilege.startswith(f"{other.privilege} (")
    }
    return problem(
        check,
        shortened(said),
        "revoke what is not declared, grant what is missing; a login gets its rights as a member of"
        " a role",
        *(psql(each.statement) for each in foreign),
        *(psql(_statement("REVOKE", grant, connection)) for grant in sorted(surplus)),
        *(psql(_statement("GRANT", grant, connection)) for grant in sorted(missing | again)),
    )


def row_security(connection: Connection) -> Finding:
    """Whether every table shows each tenant its own rows only."""
    check = "row-level security"
    wanted = {(policy.table, policy.name): policy for policy in declared.policies()}
    guarded = sorted({table for table, _ in wanted})
    said, commands = [], []
    rows = connection.execute(_ROW_SECURITY, {"names": guarded}).all()
    for row in rows:
        if not row.enabled:
            said.append(f"off for {row.name}")
            commands.append(psql(f'ALTER TABLE "{row.name}" ENABLE ROW LEVEL SECURITY'))
        if row.forced:
            said.append(f"forced on {row.name}, whose owner then does not see its rows")
            commands.append(psql(f'ALTER TABLE "{row.name}" NO FORCE ROW LEVEL SECURITY'))
    partitions = {row.name for row in rows} - set(guarded)
    there = set()
    for row in connection.execute(_POLICIES):
        key = (row.tablename, row.policyname)
        if row.tablename not in guarded and row.tablename not in partitions:
            continue
        drop = psql(f'DROP POLICY "{row.policyname}" ON "{row.tablename}"')
        policy = wanted.get(key)
        if policy is None:
            if row.permissive == "PERMISSIVE":
                said.append(f"{row.policyname} on {row.tablename} lets more rows through")
                commands.append(drop)
            continue
        there.add(key)
        condition, checked = _CONDITIONS[row.policyname]
        same = (
            (tuple(sorted(row.roles)), row.cmd) == (policy.roles, policy.command)
            and _bare(row.qual) == condition
            and row.with_check in checked
        )
        if not same:
            said.append(f"{row.policyname} on {row.tablename} is not as declared")
            commands += [drop, psql(policy.statement)]
    for key in sorted(wanted.keys() - there):
        said.append(f"{key[1]} on {key[0]} is missing")
        commands.append(psql(wanted[key].statement))
    if said:
        return problem(check, shortened(said), "change it to the declaration", *commands)
    return ok(check, f"on for {len(rows)} tables, with {len(wanted)} policies as declared")


def tables(connection: Connection) -> Finding:
    """Whether every table is there, which the other checks rely on."""
    check = "tables"
    missing = (
        connection.execute(
            text(
                "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
                " WHERE to_regclass(name) IS NULL"
            ),
            {"names": [table.name for table in METADATA.sorted_tables]},
        )
        .scalars()
        .all()
    )
    if missing:
        return problem(
            check,
            f"missing: {', '.join(missing)}",
            "restore the database from a backup; a read model alone comes back with "
            "`qforge db upgrade --sql` and `qforge rebuild`",
        )
    return ok(check, f"all {len(METADATA.tables)} exist")


def _bare(condition: str | None) -> str:
    without = re.sub(r"\bAS current_tenant\b", "", condition or "")
    return re.sub(r"[\s()]|::\w+", "", without).lower()


def _words(grant: Grant) -> str:
    return f"{grant.privilege} on {grant.name} for {grant.role}"


def _statement(verb: str, grant: Grant, connection: Connection) -> str:
    name = f'"{grant.name}"'
    if grant.kind == "function":
        name = (
            connection.execute(
                text(
                    "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = :name"
                    " AND pronamespace = 'public'::regnamespace"
                ),
                {"name": grant.name},
            )
            .scalars()
            .first()
            or name
        )
    role = grant.role if grant.role == "PUBLIC" else f'"{grant.role}"'
    to = "TO" if verb == "GRANT" else "FROM"
    return f"{verb} {grant.privilege} ON {grant.kind.upper()} {name} {to} {role}"
