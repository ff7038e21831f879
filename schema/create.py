"""The whole schema as the code declares it, without migrations: what they must add up to."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import (
    CreateIndex,
    CreateSequence,
    CreateTable,
    SetColumnComment,
    SetTableComment,
)

from schema.sql import OBJECTS, sql_of
from schema.tables import METADATA
from schema.tables.log import POSITIONS, event_logs


def ddl_of(tables: Sequence[Table]) -> str:
    """The SQL that creates `tables` with their indexes and comments, in that order."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    statements: list[str] = []
    for table in tables:
        if table is event_logs:
            statements.append(str(CreateSequence(POSITIONS).compile(dialect=dialect)))
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        if table is event_logs:
            statements.append(f"ALTER SEQUENCE {POSITIONS.name} OWNED BY {table.name}.id")
        statements += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
        statements.append(str(SetTableComment(table).compile(dialect=dialect)))
        statements += [
            str(SetColumnComment(column).compile(dialect=dialect)) for column in table.columns
        ]
    return "".join(f"{statement};\n\n" for statement in statements)


def create_all(connection: Connection) -> None:
    """Create every table, function and trigger in an empty database; does not commit."""
    # Without parameters, so that a percent sign in a function is no placeholder.
    as_it_is = {"no_parameters": True}
    connection.exec_driver_sql(ddl_of(METADATA.sorted_tables), execution_options=as_it_is)
    for name in OBJECTS:
        connection.exec_driver_sql(sql_of(name), execution_options=as_it_is)
