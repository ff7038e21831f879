"""The body of a request that inserts, as CSV: a line with the columns, and a line for each row."""

import csv
import io
from typing import Any

import msgspec
from sqlalchemy import Boolean, Column, Integer, Numeric, Table
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.writing.body import Row

CSV = "text/csv"

_TRUE, _FALSE = ("true", "t"), ("false", "f")
_NULL = "NULL"


def is_csv(content_type: str | None) -> bool:
    """Whether a body is CSV by its Content-Type."""
    return (content_type or "").partition(";")[0].strip().lower() == CSV


def rows_of_csv(data: bytes, table: Table) -> list[Row]:
    """Return the rows of a body; a cell is what the type of its column makes of it.

    NULL is null. Texts are as they are, also an empty one. A column of JSON holds JSON.

    Args:
        data: in UTF-8.
        table: whose rows they are.

    Raises:
        RestError: PGRST102, for a body that is nothing of that kind; 22P02, for a cell that does
            not fit its column.
    """
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _invalid(str(error)) from None
    lines = [line for line in lines if line]
    if not lines:
        raise _invalid("there is no line with the columns")
    names, *rows = lines
    if len(set(names)) != len(names):
        raise _invalid("a column is named twice")
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(names):
            raise _invalid(
                f"row {number} has {len(cells)} cells, and there are {len(names)} columns"
            )
    # Whoever names an unknown column is told so where columns are checked.
    columns = {name: table.c.get(name) for name in names}
    return [
        {name: _value(columns[name], cell) for name, cell in zip(names, cells, strict=True)}
        for cells in rows
    ]


def _value(column: Column[Any] | None, cell: str) -> Any:
    if cell == _NULL:
        return None
    if column is None:
        return cell
    try:
        match column.type:
            case Boolean():
                return _boolean(cell)
            case Integer():
                return int(cell)
            case Numeric():  # Double, too
                return float(cell)
            case JSONB():
                return msgspec.json.decode(cell)
    except (ValueError, RecursionError):
        raise RestError(
            400, "22P02", f'invalid input syntax for type {column.type}: "{cell[:100]}"'
        ) from None
    return cell


def _boolean(cell: str) -> bool:
    if cell.lower() not in (*_TRUE, *_FALSE):
        raise ValueError
    return cell.lower() in _TRUE


def _invalid(details: str) -> RestError:
    return RestError(400, "PGRST102", "Empty or invalid csv", details=details)
