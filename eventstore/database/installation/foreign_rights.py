"""Rights to this program's objects that roles other than its own have.

PostgreSQL grants them by itself: each new object gets what ALTER DEFAULT PRIVILEGES says, and
providers of databases use that to grant everything to the roles of their gateways.
"""

import re
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, text

from quantum_forge.eventstore.database.installation.roles import PURPOSES
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.migrations import VERSION_TABLE
from quantum_forge.schema.sql import OBJECTS, PRELUDE, sql_of
from quantum_forge.schema.tables.log import POSITIONS

_SCHEMAS = ("qforge_private", "qforge_shadow", "qforge_kept")
_MADE = re.compile(r"^CREATE (FUNCTION|AGGREGATE|VIEW) (\w+)", re.M)

_RIGHTS = """
    WITH relations AS (
        SELECT c.oid, c.relkind, c.relowner, c.relacl
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
           AND (n.nspname = ANY ({schemas})
                OR n.nspname = 'public' AND (
                    c.relname = ANY ({tables})
                    OR EXISTS (SELECT FROM pg_inherits AS i
                                WHERE i.inhrelid = c.oid
                                  AND i.inhparent = to_regclass('event_logs'))
                    -- Tables of own domains, those of other processes too.
                    OR EXISTS (SELECT FROM pg_policy AS p
                                WHERE p.polrelid = c.oid AND p.polname = 'own_tenant')))
    ), rights (kind, name, grantee, owner, what) AS (
        SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.oid::regclass::text,
               a.grantee, r.relowner, a.privilege_type
          FROM relations AS r, aclexplode(r.relacl) AS a
        UNION ALL
        SELECT 'TABLE', r.oid::regclass::text, a.grantee, r.relowner,
               format('%s (%s)', a.privilege_type, t.attname)
          FROM relations AS r
          JOIN pg_attribute AS t ON t.attrelid = r.oid AND NOT t.attisdropped,
               aclexplode(t.attacl) AS a
        UNION ALL
        SELECT 'FUNCTION', p.oid::regprocedure::text, a.grantee, p.proowner, a.privilege_type
          FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
         WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ({functions})
        UNION ALL
        SELECT 'SCHEMA', quote_ident(n.nspname), a.grantee, n.nspowner, a.privilege_type
          FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
         WHERE n.nspname = ANY ({schemas})
    )
    SELECT g.kind, g.name, coalesce(o.rolname, 'PUBLIC')::text AS role,
           pg_has_role(g.owner, 'USAGE') AS is_revocable,
           string_agg(g.what, ', ' ORDER BY g.what) AS rights,
           format('REVOKE ALL ON %s %s FROM %s CASCADE', g.kind, g.name,
                  coalesce(quote_ident(o.rolname), 'PUBLIC')) AS statement
      FROM rights AS g
      LEFT JOIN pg_roles AS o ON o.oid = g.grantee
     WHERE g.grantee <> g.owner AND coalesce(o.rolname <> ALL ({roles}), true)
     GROUP BY g.kind, g.name, g.owner, g.grantee, o.rolname
     ORDER BY g.kind, g.name, role
"""


class ForeignRight(msgspec.Struct, frozen=True, kw_only=True):
    """What another program's role, or PUBLIC, may do with an object, and the SQL that revokes it.

    is_revocable: whether this login has the rights of the object's owner, and so can revoke it.
    """

    kind: str
    name: str
    role: str
    rights: str
    is_revocable: bool
    statement: str


def foreign_rights(connection: Connection) -> list[ForeignRight]:
    """The rights to tables, views, sequences, functions and schemas of this program."""
    return [ForeignRight(**row) for row in connection.execute(text(_query())).mappings()]


def revoke_foreign_rights(connection: Connection) -> None:
    """Revoke them; needs the owner of the objects, at the newest revision. Does not commit."""
    connection.exec_driver_sql(revocation_sql(), execution_options={"no_parameters": True})


def revocation_sql() -> str:
    """The SQL that revokes them, for an administrator to run."""
    return f"""DO $revoke$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT found.statement FROM ({_query()}) AS found WHERE found.is_revocable LOOP
        EXECUTE statement;
    END LOOP;
END
$revoke$;

"""


def _query() -> str:
    made = [each for name in (*PRELUDE, *OBJECTS) for each in _MADE.findall(sql_of(name))]
    views = [name for noun, name in made if noun == "VIEW"]
    return _RIGHTS.format(
        schemas=_array(_SCHEMAS),
        # Tables of domains that were loaded meanwhile are among METADATA's.
        tables=_array([*METADATA.tables, POSITIONS.name, VERSION_TABLE, *views]),
        functions=_array(name for noun, name in made if noun != "VIEW"),
        roles=_array(PURPOSES),
    )


def _array(names: Iterable[str]) -> str:
    """Names of ours, which hold no quotes, as an SQL array."""
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"ARRAY[{quoted}]::text[]"
