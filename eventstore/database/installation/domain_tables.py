"""Tables of own domains: made and extended by `qforge db upgrade`, without a migration.

Their rows follow from the log, and their shape from the declaration.
"""

from sqlalchemy import Column, Connection, Constraint, Index, Table, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import (
    AddConstraint,
    CheckConstraint,
    CreateColumn,
    CreateIndex,
    SetColumnComment,
)

from quantum_forge.eventstore.base.errors import (
    DomainTableDiffers,
    NameInUse,
)
from quantum_forge.schema.create import ddl_of
from quantum_forge.schema.domains import PROJECTIONS, SYSTEM_TABLES

_POSTGRESQL = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # is untyped

_READ_MODELS = text("""
    SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition
       AND polname = 'own_tenant' AND relname <> ALL (:system)
     ORDER BY relname
""")
"""The tables that domains of this or of another process have added."""

_COLUMNS = text("""
    SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped
""")


def own_tables() -> list[Table]:
    """The tables that the loaded domains add to those of the system."""
    return [each.table for each in PROJECTIONS.values() if each.name not in SYSTEM_TABLES]


def pending_tables(connection: Connection) -> list[str]:
    """Own tables that are not there yet, or lack a column."""
    return [table.name for table in own_tables() if _lacking(connection, table)]


def create_own_tables(connection: Connection) -> list[str]:
    """Make the own tables that are not there, and add what others lack; return their names.

    Does not commit. A table with a new column has to be rebuilt, as for any changed declaration.

    Raises:
        NameInUse: when something else has the table's name.
        DomainTableDiffers: when a column has another type, or is not declared any more.
    """
    changed = []
    made = set(connection.scalars(_READ_MODELS, {"system": list(SYSTEM_TABLES)}))
    for table in own_tables():
        there = _columns(connection, table)
        if there and table.name not in made:
            raise NameInUse(table.name)
        if not there:
            _run(connection, ddl_of([table]))
        elif not _add_missing(connection, table, there):
            continue
        changed.append(table.name)
    return changed


def drop_own_tables(connection: Connection) -> None:
    """Drop the tables of every domain, known to this process or not; does not commit."""
    for name in connection.scalars(_READ_MODELS, {"system": list(SYSTEM_TABLES)}).all():
        _run(connection, f'DROP TABLE "{name}"')


def own_tables_sql() -> str:
    """The SQL that makes the own tables."""
    return ddl_of(own_tables())


def _lacking(connection: Connection, table: Table) -> list[Column[object]]:
    there = _columns(connection, table)
    return [column for column in table.columns if column.name not in there]


def _add_missing(connection: Connection, table: Table, there: dict[str, str]) -> bool:
    """Add what a table lacks of its declaration; whether that was anything."""
    declared = {column.name: _type(column) for column in table.columns}
    for name, type_ in there.items():
        if declared.get(name) != type_:
            raise DomainTableDiffers(table.name, name, type_, declared.get(name))
    statements = []
    for column in table.columns:
        if column.name not in there:
            # Rows that are there have no value for it; the rebuild makes it NOT NULL.
            added = str(CreateColumn(column).compile(dialect=_POSTGRESQL))
            added = added.removesuffix(" NOT NULL")
            statements.append(f"ALTER TABLE {table.name} ADD COLUMN {added}")
            statements.append(str(SetColumnComment(column).compile(dialect=_POSTGRESQL)))
    inspector = inspect(connection)
    indexes = {index["name"] for index in inspector.get_indexes(table.name)}
    checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
    statements += [
        str(CreateIndex(index).compile(dialect=_POSTGRESQL))
        for index in sorted(table.indexes, key=_name)
        if index.name not in indexes
    ]
    statements += [
        str(AddConstraint(check).compile(dialect=_POSTGRESQL))
        for check in sorted(table.constraints, key=_name)
        if isinstance(check, CheckConstraint) and check.name not in checks
    ]
    for statement in statements:
        _run(connection, statement)
    return bool(statements)


def _name(declared: Index | Constraint) -> str:
    return str(declared.name)


def _columns(connection: Connection, table: Table) -> dict[str, str]:
    """The columns of a table in the database with their types; none without the table."""
    found = connection.execute(_COLUMNS, {"name": f"public.{table.name}"})
    return {row.attname: row.type for row in found}


def _type(column: Column[object]) -> str:
    """The type as format_type spells it."""
    spelled = str(column.type.compile(dialect=_POSTGRESQL)).lower().replace(", ", ",")
    spelled = spelled.replace("varchar", "character varying")
    return {"float": "double precision"}.get(spelled, spelled)


def _run(connection: Connection, statements: str) -> None:
    # Without parameters, so that a percent sign in a comment is no placeholder.
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
