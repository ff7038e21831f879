"""Objects that belong to a table (indexes, grants, …), as SQL for another table.

The declaration makes columns, CHECKs and indexes; whatever else somebody added to the live table,
and who may do what with it, is taken from the live table as it is. What names a column that the
new definition no longer has is left behind, except for policies: those are never lost silently.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import OID
from sqlalchemy.types import TypeEngine

from quantum_forge.projections.rebuild.errors import SwapImpossible

_PARAMETERS: dict[str, TypeEngine[Any]] = {
    "live": OID(),
    "other": OID(),
    "name": Text(),
    "kinds": ARRAY(Text()),
}


def _query(sql: str) -> TextClause:
    """A query whose parameters have the types that format() cannot guess."""
    query = text(sql)
    return query.bindparams(
        *(bindparam(name, type_=_PARAMETERS[name]) for name in query.compile().params)
    )


# What names only columns that the other table has as well.
_FITS = """
    NOT EXISTS (
        SELECT FROM pg_depend AS d
          JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE d.classid = {catalog}::regclass AND d.objid = {oid}
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = :live AND d.refobjsubid > 0
           AND NOT EXISTS (SELECT FROM pg_attribute AS b
                            WHERE b.attrelid = :other AND b.attname = a.attname
                              AND NOT b.attisdropped))
"""

_CONSTRAINTS = _query(f"""
    SELECT c.conname AS name,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', :name, c.conname,
                  pg_get_constraintdef(c.oid)) AS statement
      FROM pg_constraint AS c
     WHERE c.conrelid = :live AND c.contype = ANY (:kinds)
       AND NOT EXISTS (SELECT FROM pg_constraint AS o
                        WHERE o.conrelid = :other AND o.conname = c.conname)
       AND {_FITS.format(catalog="'pg_constraint'", oid="c.oid")}
     ORDER BY c.conname
""")

_INDEXES = _query(f"""
    SELECT c.relname AS name,
           replace(pg_get_indexdef(i.indexrelid),
                   format(' ON %I.%I USING ', n.nspname, t.relname),
                   format(' ON %s USING ', :name)) AS statement
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_class AS t ON t.oid = i.indrelid
      JOIN pg_namespace AS n ON n.oid = t.relnamespace
     WHERE i.indrelid = :live AND i.indisvalid
       AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
       AND NOT EXISTS (SELECT FROM pg_index AS j JOIN pg_class AS o ON o.oid = j.indexrelid
                        WHERE j.indrelid = :other AND o.relname = c.relname)
       AND {_FITS.format(catalog="'pg_class'", oid="i.indexrelid")}
     ORDER BY c.relname
""")

_STORAGE = _query("""
    SELECT format('ALTER TABLE %s SET (%s)', :name, array_to_string(reloptions, ', '))
      FROM pg_class WHERE oid = :live AND reloptions IS NOT NULL
    UNION ALL
    SELECT format('ALTER TABLE %s SET TABLESPACE %I', :name, spcname)
      FROM pg_class AS c JOIN pg_tablespace AS s ON s.oid = c.reltablespace WHERE c.oid = :live
""")

# In this order. Everything is taken away first: a kept table has what it had when it was swapped
# out, and a shadow has what ALTER DEFAULT PRIVILEGES gave it.
_ACCESS = (
    _query("""
        SELECT format('DROP POLICY %I ON %s', polname, :name)
          FROM pg_policy WHERE polrelid = :other ORDER BY polname
    """),
    _query("""
        SELECT format('DROP TRIGGER %I ON %s', tgname, :name)
          FROM pg_trigger WHERE tgrelid = :other AND NOT tgisinternal ORDER BY tgname
    """),
    _query("""
        SELECT format('ALTER TABLE %s OWNER TO %I', :name, pg_get_userbyid(l.relowner))
          FROM pg_class AS l JOIN pg_class AS o ON o.oid = :other
         WHERE l.oid = :live AND l.relowner <> o.relowner
    """),
    _query("""
        SELECT format('REVOKE ALL ON %s FROM %s', :name,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee))
                      END)
          FROM (SELECT DISTINCT grantee
                  FROM pg_class AS o, aclexplode(coalesce(o.relacl, acldefault('r', o.relowner)))
                 WHERE o.oid = :other) AS given
         ORDER BY grantee
    """),
    _query("""
        SELECT format('GRANT %s ON %s TO %s%s', g.privilege_type, :name,
                      CASE g.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM pg_class AS l,
               aclexplode(coalesce(l.relacl, acldefault('r', l.relowner))) WITH ORDINALITY AS g
         WHERE l.oid = :live
         ORDER BY g.ordinality
    """),
    _query("""
        SELECT format('REVOKE %s (%I) ON %s FROM %s', g.privilege_type, a.attname, :name,
                      CASE g.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
          FROM pg_attribute AS a, aclexplode(a.attacl) AS g
         WHERE a.attrelid = :other AND NOT a.attisdropped
         ORDER BY a.attnum
    """),
    _query("""
        SELECT format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, :name,
                      CASE g.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM pg_attribute AS a, aclexplode(a.attacl) WITH ORDINALITY AS g
         WHERE a.attrelid = :live AND NOT a.attisdropped
           AND EXISTS (SELECT FROM pg_attribute AS o WHERE o.attrelid = :other
                          AND o.attname = a.attname AND NOT o.attisdropped)
         ORDER BY a.attnum, g.ordinality
    """),
    _query("""
        SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY, %s ROW LEVEL SECURITY', :name,
                      CASE WHEN relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END,
                      CASE WHEN relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END)
          FROM pg_class WHERE oid = :live
    """),
    _query("""
        SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, :name,
                      CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                      CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                    WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                      (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
                                              ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                         FROM unnest(p.polroles) AS role),
                      ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                      ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
          FROM pg_policy AS p WHERE p.polrelid = :live ORDER BY p.polname
    """),
    _query(f"""
        SELECT replace(pg_get_triggerdef(t.oid), format(' ON %I.%I ', n.nspname, c.relname),
                       format(' ON %s ', :name))
          FROM pg_trigger AS t
          JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE t.tgrelid = :live AND NOT t.tgisinternal
           AND {_FITS.format(catalog="'pg_trigger'", oid="t.oid")}
         ORDER BY t.tgname
    """),
    _query(f"""
        SELECT format('ALTER TABLE %s %s TRIGGER %I', :name,
                      CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                                       ELSE 'ENABLE ALWAYS' END, t.tgname)
          FROM pg_trigger AS t
         WHERE t.tgrelid = :live AND NOT t.tgisinternal AND t.tgenabled <> 'O'
           AND {_FITS.format(catalog="'pg_trigger'", oid="t.oid")}
         ORDER BY t.tgname
    """),
    _query("""
        SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', :name,
                      CASE l.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                      ELSE 'DEFAULT' END)
          FROM pg_class AS l JOIN pg_class AS o ON o.oid = :other
         WHERE l.oid = :live AND l.relreplident <> o.relreplident
    """),
)

# Comments on what was made above; those on table and columns are declared.
_COMMENTS = _query("""
    SELECT format('COMMENT ON %s IS %L', what, description)
      FROM (SELECT format('CONSTRAINT %I ON %s', c.conname, :name) AS what,
                   obj_description(c.oid, 'pg_constraint') AS description
              FROM pg_constraint AS c
             WHERE c.conrelid = :live
               AND EXISTS (SELECT FROM pg_constraint AS o
                            WHERE o.conrelid = :other AND o.conname = c.conname)
            UNION ALL
            SELECT format('INDEX %I.%I', n.nspname, c.relname), obj_description(c.oid, 'pg_class')
              FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
              JOIN (pg_index AS j JOIN pg_class AS o ON o.oid = j.indexrelid
                    JOIN pg_namespace AS n ON n.oid = o.relnamespace)
                ON j.indrelid = :other AND o.relname = c.relname
             WHERE i.indrelid = :live
            UNION ALL
            SELECT format('POLICY %I ON %s', p.polname, :name), obj_description(p.oid, 'pg_policy')
              FROM pg_policy AS p WHERE p.polrelid = :live
            UNION ALL
            SELECT format('TRIGGER %I ON %s', t.tgname, :name), obj_description(t.oid, 'pg_trigger')
              FROM pg_trigger AS t
             WHERE t.tgrelid = :live AND NOT t.tgisinternal
               AND EXISTS (SELECT FROM pg_trigger AS o
                            WHERE o.tgrelid = :other AND o.tgname = t.tgname)) AS commented
     WHERE description IS NOT NULL
     ORDER BY what
""")

# CREATE OR REPLACE keeps a view's owner, grants, comments and triggers, and whatever depends on it.
_VIEWS = _query("""
    SELECT format('CREATE OR REPLACE VIEW %I.%I%s AS %s', n.nspname, v.relname,
                  ' WITH (' || array_to_string(v.reloptions, ', ') || ')',
                  rtrim(pg_get_viewdef(v.oid), ';'))
      FROM pg_class AS v JOIN pg_namespace AS n ON n.oid = v.relnamespace
     WHERE v.relkind = 'v'
       AND v.oid IN (SELECT r.ev_class FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
                      WHERE d.classid = 'pg_rewrite'::regclass
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = :live)
     ORDER BY v.oid
""")

_IMMOVABLE = _query("""
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
      FROM pg_class AS live
      JOIN pg_type AS row ON row.oid = live.reltype
     CROSS JOIN LATERAL (VALUES ('pg_class'::regclass::oid, live.oid),
                                ('pg_type'::regclass, row.oid),
                                ('pg_type'::regclass, row.typarray)) AS used (classid, objid)
      JOIN pg_depend AS d ON d.refclassid = used.classid AND d.refobjid = used.objid
     WHERE live.oid = :live AND d.deptype IN ('n', 'a', 'x')
       AND NOT CASE d.classid
           WHEN 'pg_constraint'::regclass THEN
               EXISTS (SELECT FROM pg_constraint WHERE oid = d.objid AND conrelid = live.oid)
           WHEN 'pg_trigger'::regclass THEN
               EXISTS (SELECT FROM pg_trigger WHERE oid = d.objid AND tgrelid = live.oid)
           WHEN 'pg_policy'::regclass THEN
               EXISTS (SELECT FROM pg_policy WHERE oid = d.objid AND polrelid = live.oid)
           WHEN 'pg_class'::regclass THEN
               EXISTS (SELECT FROM pg_index WHERE indexrelid = d.objid AND indrelid = live.oid)
           WHEN 'pg_rewrite'::regclass THEN
               EXISTS (SELECT FROM pg_rewrite AS r JOIN pg_class AS v ON v.oid = r.ev_class
                        WHERE r.oid = d.objid AND v.relkind = 'v')
           WHEN 'pg_attrdef'::regclass THEN true
           ELSE false END
     ORDER BY 1
""")


def oid_of(connection: Connection, name: str) -> int | None:
    """The table of that name, as SQL would find it; None when there is none."""
    oid: int | None = connection.scalar(text("SELECT to_regclass(:name)::oid"), {"name": name})
    return oid


def run(connection: Connection, statements: Sequence[str]) -> None:
    """Execute statements that the catalogue gave, in one round trip."""
    if statements:
        script = ";\n".join(statements)
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def refuse_immovable(connection: Connection, projection: str, live: int) -> None:
    """Raise `SwapImpossible` if something that cannot be moved hangs on the live table.

    Materialised views, foreign keys from other tables, functions and columns of its row type,
    publications, extended statistics, rules and inheriting tables.
    """
    reasons = connection.scalars(_IMMOVABLE, {"live": live}).all()
    if reasons:
        raise SwapImpossible(projection, reasons)


def add_checks(connection: Connection, live: int, other: int, name: str) -> None:
    """Give `other` the live table's storage parameters, and its CHECKs beyond the declared."""
    tables = {"live": live, "other": other, "name": name}
    run(connection, connection.scalars(_STORAGE, {"live": live, "name": name}).all())
    checks = connection.execute(_CONSTRAINTS, {**tables, "kinds": ["c", "n"]})
    run(connection, [check.statement for check in checks])


def index_statements(
    connection: Connection, live: int, other: int, name: str
) -> list[tuple[str, str]]:
    """The indexes and keys of the live table that `other` lacks: names and statements."""
    tables = {"live": live, "other": other, "name": name}
    indexes = connection.execute(_INDEXES, tables).all()
    keys = connection.execute(_CONSTRAINTS, {**tables, "kinds": ["u", "x", "f"]}).all()
    return [(row.name, row.statement) for row in (*indexes, *keys)]


def give_access(connection: Connection, live: int, other: int, name: str) -> None:
    """Give `other` the live table's owner, policies, grants, triggers and comments, no others."""
    tables = {"live": live, "other": other, "name": name}
    for query in _ACCESS:
        used = {key: tables[key] for key in query.compile().params}
        run(connection, connection.scalars(query, used).all())
    run(connection, connection.scalars(_COMMENTS, tables).all())


def remake_views(connection: Connection, live: int) -> list[str]:
    """The statements that make the views on a table again, over what has its name then."""
    return list(connection.scalars(_VIEWS, {"live": live}))
