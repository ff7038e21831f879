"""Checks of how tables are made: columns, constraints, indexes, storage, owners."""

import re
from collections.abc import Iterator, Mapping

import msgspec
from sqlalchemy import ARRAY, Connection, Text, bindparam, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.doctor.checks.finding import Finding, ok, problem, psql
from quantum_forge.eventstore.doctor.checks.owner import owner_of_tables
from quantum_forge.schema.domains import METADATA, PROJECTIONS
from quantum_forge.schema.migrations import VERSION_TABLE

_PARTS = text("""
    WITH tables AS (
        SELECT c.oid, c.relname FROM pg_class AS c
         WHERE c.relnamespace = CAST(:space AS oid) AND c.relname = ANY (:tables)
           AND c.relkind IN ('r', 'p')
    )
    SELECT 'constraint' AS kind, t.relname AS "table", k.conname AS name,
           pg_get_constraintdef(k.oid) AS definition, false AS required, false AS is_unique
      FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid
     WHERE k.contype IN ('c', 'p', 'u', 'f', 'x')
     UNION ALL
    SELECT 'index', t.relname, x.relname,
           regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? ON (ONLY )?\\S+ USING', 'USING')
               || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END,
           false, i.indisunique
      FROM tables AS t
      JOIN pg_index AS i ON i.indrelid = t.oid
      JOIN pg_class AS x ON x.oid = i.indexrelid
     WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid
                                                        AND k.contype IN ('p', 'u', 'x'))
     UNION ALL
    SELECT 'column', t.relname, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                                                     nullif(a.attgenerated, '')),
           a.attnotnull, false
      FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
     WHERE a.attnum > 0 AND NOT a.attisdropped
     UNION ALL
    SELECT 'default', t.relname, a.attname, pg_get_expr(d.adbin, d.adrelid), false, false
      FROM tables AS t
      JOIN pg_attrdef AS d ON d.adrelid = t.oid
      JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.adnum
     ORDER BY 2, 1, 3
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_OF_PARTITIONS = text("""
    SELECT c.oid::regclass::text AS "table", 'CHECK ' || quote_ident(k.conname) AS part,
           format('DROP CONSTRAINT %I', k.conname) AS change
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
      JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'c' AND k.coninhcount = 0
     WHERE i.inhparent = 'event_logs'::regclass
     UNION ALL
    SELECT c.oid::regclass::text, 'default of ' || quote_ident(a.attname),
           CASE WHEN p.adbin IS NULL THEN format('ALTER %I DROP DEFAULT', a.attname)
                ELSE format('ALTER %I SET DEFAULT %s', a.attname,
                            pg_get_expr(p.adbin, p.adrelid)) END
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
      LEFT JOIN pg_attribute AS b ON b.attrelid = i.inhparent AND b.attname = a.attname
      LEFT JOIN pg_attrdef AS p ON p.adrelid = b.attrelid AND p.adnum = b.attnum
     WHERE i.inhparent = 'event_logs'::regclass
       AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(p.adbin, p.adrelid)
     ORDER BY 1, 2
""")
_KEPT = text("""
    SELECT c.oid::regclass::text AS name, c.relowner AS owner, c.relpersistence AS persistence,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS noun
      FROM pg_class AS c
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relnamespace = 'public'::regnamespace
       AND (c.relname = ANY (:tables) OR c.oid = to_regclass('event_logs_id_seq')
            OR c.oid IN (SELECT inhrelid FROM pg_inherits
                          WHERE inhparent = 'event_logs'::regclass))
     -- A sequence goes with the table that it belongs to.
     ORDER BY c.relkind = 'S', 1
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_MAY_MAKE = text("""
    SELECT has_database_privilege(current_database(), 'TEMP')
           AND current_setting('transaction_read_only') = 'off'
""")

_GENERATED = " s"
"""After the type of a column that is computed and stored; see _PARTS."""

_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # is untyped
"""See `schema.create`."""


class Part(msgspec.Struct, frozen=True):
    """A column, default, constraint or index of a table, as PostgreSQL prints it."""

    definition: str
    required: bool
    is_unique: bool


Parts = Mapping[tuple[str, str, str], Part]
"""By table, kind and name."""


def definitions(connection: Connection) -> Finding:
    """Whether the columns, defaults, constraints and indexes of each table are as declared."""
    check = "table definitions"
    differences = changed_definitions(connection)
    if differences is None:
        return ok(
            check,
            "not compared, which takes the right to make temporary tables, or that of the owner",
        )
    if differences:
        statements = [statement for each in differences.values() for statement in each]
        emptied = sorted({name for each in statements if (name := _emptied(each)) in PROJECTIONS})
        # An added column has values when its table was filled.
        later = [each for each in statements if emptied and each.endswith(" SET NOT NULL")]
        return problem(
            check,
            shortened(list(differences)),
            "change them to the declarations" + (", and fill the tables anew" if emptied else ""),
            *(psql(each) for each in statements if each not in later),
            *([f"qforge rebuild {' '.join(emptied)}"] if emptied else []),
            *map(psql, later),
        )
    return ok(check, f"all {len(METADATA.tables)} tables are as declared")


def changed_definitions(connection: Connection) -> dict[str, list[str]] | None:
    """Return each difference from the declarations, in words, and the SQL that corrects it.

    None where this login may not make temporary tables.
    """
    wanted = _made_again(connection)
    if wanted is None:
        return None
    space: int = connection.execute(text("SELECT 'public'::regnamespace::oid")).scalar_one()
    found = dict(_differences(wanted, _parts(connection, space)))
    for row in connection.execute(_OF_PARTITIONS):
        says = f"{row.part} on {row.table} is not declared"
        found[says] = [f"ALTER TABLE {row.table} {row.change}"]
    return found


def owners(connection: Connection) -> Finding:
    """Whether one role owns every table, and every table survives a crash."""
    check = "owners"
    owner = owner_of_tables(connection)
    said, commands = [], []
    rows = connection.execute(_KEPT, {"tables": [*METADATA.tables, VERSION_TABLE]}).all()
    for row in rows:
        if row.owner != owner.id:
            said.append(f"{row.name} belongs to another role than the other tables")
            commands.append(psql(f"ALTER {row.noun} {row.name} OWNER TO {owner.name}"))
        if row.persistence == "u":
            said.append(f"{row.name} is UNLOGGED: a crash of the server empties it")
            commands.append(psql(f"ALTER {row.noun} {row.name} SET LOGGED"))
    if said:
        return problem(check, shortened(said), "give it back, and have it logged", *commands)
    return ok(check, f"{owner.name} owns all {len(rows)} tables and sequences, and all are logged")


def _differences(wanted: Parts, found: Parts) -> Iterator[tuple[str, list[str]]]:
    """What differs, in words, and the statements that correct it."""
    for key in sorted(wanted.keys() | found.keys(), key=_least_dependent):
        before, now = wanted.get(key), found.get(key)
        table, kind, name = key
        alter = f'ALTER TABLE "{table}"'
        if kind == "column" and before is not None and now is None:
            default = wanted.get((table, "default", name))
            statements = [f"{alter} {_added(name, before, default)}"]
            if before.required:
                statements.append(f'{alter} ALTER "{name}" SET NOT NULL')
            yield f"{table}.{name} is missing", statements
        elif kind == "column":
            yield from _column(table, name, before, now)
        elif kind == "default" and (table, "column", name) not in found:
            continue  # it comes with the column
        elif kind == "default":
            if before is None or now is None or before.definition != now.definition:
                change = "DROP DEFAULT" if before is None else f"SET DEFAULT {before.definition}"
                if (table, "column", name) in wanted or before is None:
                    yield (
                        f"the default of {table}.{name} is not as declared",
                        [f'{alter} ALTER "{name}" {change}'],
                    )
        elif before == now or (before is None and kind == "index" and not (now and now.is_unique)):
            continue  # an index that others added changes no result
        else:
            noun = "CONSTRAINT" if kind == "constraint" else "INDEX"
            statements = []
            if now is not None:
                drop = f'{alter} DROP CONSTRAINT "{name}"'
                statements.append(drop if kind == "constraint" else f'DROP INDEX "{name}"')
            if before is not None and kind == "constraint":
                statements.append(f'{alter} ADD CONSTRAINT "{name}" {before.definition}')
            elif before is not None:
                unique = "UNIQUE " if before.is_unique else ""
                create = f'CREATE {unique}INDEX "{name}" ON "{table}" {before.definition}'
                statements.append(create)
            fault = "is missing"
            if now is not None:
                fault = "is not declared" if before is None else "is not as declared"
            yield f"{noun} {name} on {table} {fault}", statements


def _column(
    table: str, name: str, before: Part | None, now: Part | None
) -> Iterator[tuple[str, list[str]]]:
    alter = f'ALTER TABLE "{table}" ALTER "{name}"'
    if before is None:
        if now is not None and now.required:
            yield (
                f"{table}.{name} is not declared, and refuses rows without a value",
                [f"{alter} DROP NOT NULL"],
            )
        return
    if now is None:
        return
    if before.definition != now.definition:
        yield (
            f"{table}.{name} is of type {now.definition}, not {before.definition}",
            [f'{alter} TYPE {before.definition} USING "{name}"::{before.definition}'],
        )
    if before.required != now.required:
        fault = "accepts null" if before.required else "refuses null"
        change = "SET" if before.required else "DROP"
        yield f"{table}.{name} {fault}", [f"{alter} {change} NOT NULL"]


_ADDED = re.compile(r'ALTER TABLE "(\w+)" ADD COLUMN ')


def _added(name: str, column: Part, default: Part | None) -> str:
    """What adds a column; a required one is empty until its table is filled."""
    type_ = column.definition
    if type_.endswith(_GENERATED) and default is not None:
        formula = default.definition
        return (
            f'ADD COLUMN "{name}" {type_.removesuffix(_GENERATED)} GENERATED ALWAYS AS'
            f" ({formula}) STORED"
        )
    given = "" if default is None else f" DEFAULT {default.definition}"
    return f'ADD COLUMN "{name}" {type_}{given}'


def _emptied(statement: str) -> str:
    """The table to which a statement adds a column."""
    found = _ADDED.match(statement)
    return found[1] if found else ""


def _least_dependent(key: tuple[str, str, str]) -> tuple[int, tuple[str, str, str]]:
    return ("column", "default", "constraint", "index").index(key[1]), key


def _parts(connection: Connection, space: int) -> Parts:
    rows = connection.execute(_PARTS, {"space": space, "tables": list(METADATA.tables)})
    return {
        (row.table, row.kind, row.name): Part(row.definition, row.required, row.is_unique)
        for row in rows
    }


def _made_again(connection: Connection) -> Parts | None:
    """Make every table in the session's temporary schema, read its parts, and roll back.

    PostgreSQL prints definitions in a form of its own, so both are compared as it prints them.
    None where this login may not make temporary tables.
    """
    if not connection.scalar(_MAY_MAKE):
        return None
    trial = connection.begin_nested()
    try:
        script = "".join(f"{statement};\n" for statement in _statements())
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
        space: int = connection.execute(text("SELECT pg_my_temp_schema()")).scalar_one()
        return _parts(connection, space)
    except NotAllowed:
        return None
    finally:
        trial.rollback()


def _statements() -> Iterator[str]:
    for table in METADATA.sorted_tables:
        yield _in_pg_temp(CreateTable(table))
        for index in table.indexes:
            yield _in_pg_temp(CreateIndex(index))


def _in_pg_temp(made: CreateTable | CreateIndex) -> str:
    moved = {None: "pg_temp"}
    return str(
        made.compile(dialect=_DIALECT, schema_translate_map=moved, render_schema_translate=True)
    )
