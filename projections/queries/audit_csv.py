"""Entries of the audit trail as lines of CSV."""

import csv
import io
from collections.abc import Sequence

import msgspec

from quantum_forge.eventstore.base.csv_text import csv_text
from quantum_forge.projections.queries.audit_trail import Entry

FIELDS = Entry.__struct_fields__


def csv_header() -> str:
    """Return the names of the fields, without a line end."""
    return _line(FIELDS)


def csv_line(entry: Entry) -> str:
    """Return the fields of an entry, without a line end; changes as JSON."""
    built = msgspec.to_builtins(entry)
    return _line([_text(built[name]) for name in FIELDS])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return "" if value is None else str(value)


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(map(csv_text, values))
    return text.getvalue()
