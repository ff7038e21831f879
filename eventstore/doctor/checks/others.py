"""Checks of what others made beside the tables: memberships, views, functions, publications."""

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.doctor.checks import declared
from quantum_forge.eventstore.doctor.checks.finding import (
    Finding,
    ok,
    problem,
    psql,
    warning,
)
from quantum_forge.eventstore.doctor.checks.owner import owner_of_tables
from quantum_forge.schema.domains import METADATA

POWERS = {
    "pg_read_all_data": "reads every table, columns with hashes included",
    "pg_write_all_data": "writes to every table",
    "pg_maintain": "may lock every table",
    "pg_create_subscription": "may have a subscription write to tables",
    "pg_read_server_files": "reads every file of the server",
    "pg_write_server_files": "writes every file of the server",
    "pg_execute_server_program": "runs programs as the server's user",
}
"""Roles of PostgreSQL itself whose members are not held by grants to tables."""

_ONLY_READ = {"pg_read_all_data", "pg_maintain"}

_MEMBERS = text("""
    SELECT m.rolname AS member, r.rolname AS role,
           format('REVOKE %I FROM %I', r.rolname, m.rolname)
               || CASE WHEN current_setting('server_version_num')::integer >= 160000
                       THEN format(' GRANTED BY %I', g.rolname) ELSE '' END AS statement
      FROM pg_auth_members AS a
      JOIN pg_roles AS r ON r.oid = a.roleid
      JOIN pg_roles AS m ON m.oid = a.member
      JOIN pg_roles AS g ON g.oid = a.grantor
     WHERE r.rolname = ANY (:powers) AND NOT m.rolsuper AND m.rolname !~ '^pg_'
       AND m.oid <> CAST(:owner AS oid)
     ORDER BY 1, 2
""").bindparams(bindparam("powers", type_=ARRAY(Text)))

_GONE = text("""
    SELECT b.login, format('DELETE FROM login_bindings WHERE login = %L', b.login) AS statement
      FROM login_bindings AS b
     WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = b.login)
     ORDER BY 1
""")

_OBJECTS = text("""
    WITH RECURSIVE ours AS (
        SELECT c.oid FROM pg_class AS c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)
         UNION
        SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('event_logs')
    ), mighty AS (
        -- Those to whom row-level security does not apply, or shows every tenant.
        SELECT r.oid FROM pg_roles AS r
         WHERE r.rolsuper OR r.rolbypassrls OR pg_has_role(r.oid, CAST(:owner AS oid), 'USAGE')
            OR pg_has_role(r.oid, 'qforge_admin', 'USAGE')
            OR pg_has_role(r.oid, 'qforge_projector', 'USAGE')
    ), of_extensions AS (
        SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), reading (oid) AS (
        SELECT oid FROM ours
         UNION
        SELECT w.ev_class
          FROM reading
          JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reading.oid
                             AND d.classid = 'pg_rewrite'::regclass
          JOIN pg_rewrite AS w ON w.oid = d.objid
    )
    SELECT 'problem' AS level, c.oid::regclass::text AS name,
           format('%s %s shows rows of every tenant to %s',
                  CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END,
                  c.oid::regclass, g.names) AS says,
           CASE c.relkind WHEN 'v' THEN format('ALTER VIEW %s SET (security_invoker = true)',
                                               c.oid::regclass)
                ELSE format('REVOKE ALL ON %s FROM %s', c.oid::regclass, g.names) END AS statement
      FROM reading
      JOIN pg_class AS c USING (oid)
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
           SELECT string_agg(DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC'), ', ') AS names
             FROM aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
            WHERE a.grantee <> c.relowner AND a.grantee NOT IN (SELECT oid FROM mighty)) AS g
     WHERE c.relkind IN ('v', 'm') AND g.names IS NOT NULL
       AND NOT (n.nspname = 'public' AND c.relname = ANY (:views))
       AND c.relowner IN (SELECT oid FROM mighty)
       AND NOT coalesce(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on',
                                              'security_invoker=1', 'security_invoker=yes'], false)
     UNION ALL
    SELECT 'problem', p.oid::regprocedure::text,
           format('function %s reads tables with the rights of %I', p.oid::regprocedure,
                  pg_get_userbyid(p.proowner)),
           format('ALTER %s %s SECURITY INVOKER',
                  CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
      FROM pg_proc AS p
     WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND p.prokind IN ('f', 'p')
       AND p.proname <> ALL (:functions) AND p.proowner IN (SELECT oid FROM mighty)
       AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM of_extensions)
       AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                    WHERE a.grantee NOT IN (SELECT oid FROM mighty))
       AND (p.prosrc ~ ('\\m(' || array_to_string(CAST(:tables AS text[]), '|') || ')\\M')
            OR EXISTS (SELECT FROM pg_depend AS d
                        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass
                          AND d.refobjid IN (SELECT oid FROM ours)))
     UNION ALL
    SELECT 'warning', t.pubname,
           format('publication %s sends rows of every tenant to its subscribers, from %s',
                  t.pubname, min(t.tablename)),
           format('DROP PUBLICATION %I', t.pubname)
      FROM pg_publication_tables AS t
     WHERE t.schemaname = 'public'
       AND to_regclass(format('%I.%I', t.schemaname, t.tablename)) IN (SELECT oid FROM ours)
     GROUP BY t.pubname
     UNION ALL
    SELECT 'warning', e.evtname,
           format('event trigger %s runs %s at every %s, migrations included', e.evtname,
                  e.evtfoid::regprocedure, e.evtevent),
           format('ALTER EVENT TRIGGER %I DISABLE', e.evtname)
      FROM pg_event_trigger AS e
     WHERE e.evtenabled <> 'D'
       AND ('pg_proc'::regclass, e.evtfoid) NOT IN (SELECT classid, objid FROM of_extensions)
     ORDER BY level, name
""").bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("tables", "views", "functions")))


def memberships(connection: Connection) -> Finding:
    """Whether a login has rights to every table or to the server by a role of PostgreSQL itself."""
    check = "memberships"
    owner = owner_of_tables(connection)
    rows = connection.execute(_MEMBERS, {"powers": list(POWERS), "owner": owner.id}).all()
    if not rows:
        return ok(check, "nobody but superusers has a role that reads or writes every table")
    finding = warning if all(row.role in _ONLY_READ for row in rows) else problem
    return finding(
        check,
        shortened([f"{row.member} {POWERS[row.role]}, by {row.role}" for row in rows]),
        "revoke the role, and make the login a member of one that qforge db roles shows",
        *(psql(row.statement) for row in rows),
    )


def bindings(connection: Connection) -> Finding:
    """Whether every login that is bound to a tenant exists."""
    check = "bindings"
    rows = connection.execute(_GONE).all()
    if not rows:
        return ok(check, "every login that is bound to a tenant exists")
    return warning(
        check,
        f"bound to a tenant, but no login any more: {shortened([row.login for row in rows])}; a new"
        " login of that name would see the tenant",
        "delete the binding",
        *(psql(row.statement) for row in rows),
    )


def objects(connection: Connection) -> Finding:
    """Whether views, functions, publications or event triggers of others reach the tables."""
    check = "other objects"
    names: dict[str, list[str]] = {"VIEW": [], "FUNCTION": [], "AGGREGATE": []}
    for each in declared.definitions():
        names[each.noun].append(each.name)
    parameters = {
        "tables": list(METADATA.tables),
        "views": names["VIEW"],
        "functions": names["FUNCTION"],
        "owner": owner_of_tables(connection).id,
    }
    rows = connection.execute(_OBJECTS, parameters).all()
    if not rows:
        return ok(check, "nothing that others made shows rows of every tenant, or acts on changes")
    finding = problem if any(row.level == "problem" for row in rows) else warning
    return finding(
        check,
        shortened([row.says for row in rows]),
        "if it is not meant so: take its rights away, or end it",
        *(psql(row.statement) for row in rows),
    )
