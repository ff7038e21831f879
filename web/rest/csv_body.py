"""Rows as CSV, in which no cell is a formula to a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    Text,
    Uuid,
    cast,
    func,
    literal,
)
from sqlalchemy.dialects.postgresql import JSON

from quantum_forge.eventstore.base.csv_text import csv_text


def cell(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a value as text: as JSON has it, a text without its quotes."""
    as_json = func.to_json(value, type_=JSON())
    return as_json.op("#>>", return_type=Text())(cast(literal("{}", Text()), ARRAY(Text())))


def is_text(value: ColumnElement[Any]) -> bool:
    """Whether a value may be any text, and not only a number, a time or an id."""
    return not isinstance(value.type, Integer | Numeric | Float | Boolean | Date | DateTime | Uuid)


def csv_body(
    keys: Sequence[str], texts: Sequence[bool], rows: Iterable[Sequence[str | None]]
) -> bytes:
    """Write a heading and rows; a null is an empty cell.

    Args:
        keys: the heading.
        texts: for each column, whether it may hold any text.
        rows: their cells.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_text(key) for key in keys])
    for row in rows:
        writer.writerow(
            [
                csv_text(value) if value is not None and text else value
                for value, text in zip(row, texts, strict=True)
            ]
        )
    return file.getvalue().encode()
