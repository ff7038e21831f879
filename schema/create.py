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

from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.language.table import is_read_model, is_secret
from quantum_forge.schema.sql import OBJECTS, PRELUDE, sql_of
from quantum_forge.schema.tables.log import POSITIONS, event_logs

_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # is untyped
"""Named parameters: with psycopg's own style a % in a comment comes out doubled."""


def ddl_of(tables: Sequence[Table]) -> str:
    """The SQL that creates `tables` with their indexes and comments, in that order."""
    statements: list[str] = []
    for table in tables:
        if table is event_logs:
            statements.append(str(CreateSequence(POSITIONS).compile(dialect=_DIALECT)))
        statements.append(str(CreateTable(table).compile(dialect=_DIALECT)).strip())
        if table is event_logs:
            statements.append(f"ALTER SEQUENCE {POSITIONS.name} OWNED BY {table.name}.id")
        statements += [
            str(CreateIndex(index).compile(dialect=_DIALECT))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
        statements.append(str(SetTableComment(table).compile(dialect=_DIALECT)))
        statements += [
            str(SetColumnComment(column).compile(dialect=_DIALECT)) for column in table.columns
        ]
        if is_read_model(table):
            statements += _access(table)
    return "".join(f"{statement};\n\n" for statement in statements)


def _access(table: Table) -> list[str]:
    """Who may see and change the rows of a read model; its readers, all but the secret columns."""
    name = table.name
    shown = [column.name for column in table.columns if not is_secret(column)]
    select = f"GRANT SELECT ON {name} TO qforge_reader, qforge_auditor"
    if len(shown) < len(table.columns):
        select = (
            f"GRANT SELECT ON {name} TO qforge_auditor;\n\n"
            f"GRANT SELECT ({', '.join(shown)}) ON {name} TO qforge_reader"
        )
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY own_tenant ON {name} FOR SELECT"
        " USING (tenant_id = (SELECT current_tenant()))",
        f"CREATE POLICY every_tenant ON {name} TO qforge_projector, qforge_admin"
        " USING (true) WITH CHECK (true)",
        select,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO qforge_projector, qforge_admin",
    ]


def policies_of(table: Table) -> list[str]:
    """The names of the row-level-security policies of a read model."""
    words = [statement.split() for statement in _access(table)]
    return [name for create, what, name, *_ in words if (create, what) == ("CREATE", "POLICY")]


def create_all(connection: Connection) -> None:
    """Create every table, function and trigger in an empty database; does not commit."""
    parts = [*map(sql_of, PRELUDE), ddl_of(METADATA.sorted_tables), *map(sql_of, OBJECTS)]
    for part in parts:
        # Without parameters, so that a percent sign in a function is no placeholder.
        connection.exec_driver_sql(part, execution_options={"no_parameters": True})
