"""JSON Schema of the rows of a table: types, formats, units and descriptions of its columns."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import BIT, JSONB

from quantum_forge.schema.language.table import unit_of
from quantum_forge.web.rest.statements.tables import Readable

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def row_schema(table: Readable) -> dict[str, Any]:
    """Return the schema of a row, without secret columns; `select` decides which of them it has."""
    return {
        "type": "object",
        "description": table.table.comment or f"Rows of {table.name}",
        "properties": {str(name): column_schema(table.table.c[name]) for name in table.columns},
    }


def column_schema(column: Column[Any]) -> dict[str, Any]:
    """Return the schema of a value: `x-unit` is its unit, `x-type` its type of PostgreSQL."""
    found = _type(column)
    if column.nullable and "type" in found:
        found["type"] = [found["type"], "null"]
    if column.comment:
        found["description"] = column.comment
    if (unit := unit_of(column)) is not None:
        found["x-unit"] = unit
    return {**found, "x-type": column.type.compile(dialect=_POSTGRESQL).lower()}


def _type(column: Column[Any]) -> dict[str, Any]:
    match column.type:
        case Uuid():
            return {"type": "string", "format": "uuid"}
        case DateTime():
            return {"type": "string", "format": "date-time"}
        case BigInteger():
            return {"type": "integer", "format": "int64"}
        case Integer():
            return {"type": "integer", "format": "int32"}
        case Float():
            return {"type": "number", "format": "double"}
        case Numeric():
            return {"type": "number"}
        case Boolean():
            return {"type": "boolean"}
        case JSONB():
            return {}  # any value of JSON
        case Text():
            return {"type": "string"}
        case BIT():
            return {"type": "string", "pattern": "^[01]*$"}
    raise NotImplementedError(f"{column}: {column.type!r} has no schema")
