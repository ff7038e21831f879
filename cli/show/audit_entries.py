"""Entries of the audit trail as a table, lines, CSV or JSON."""

from collections.abc import Callable, Sequence

import msgspec

from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.lines import Lines
from quantum_forge.projections.queries.audit_csv import FIELDS, csv_header, csv_line
from quantum_forge.projections.queries.audit_trail import Entry

LISTED = (
    Shown("position", 0, rank=3),
    Shown("occurred_at", label="when"),
    Shown("user", label="who", rank=1),
    Shown("user_id", label="their id", rank=7),
    Shown("action"),
    Shown("entity_type", rank=5),
    Shown("entity", label="what", rank=2),
    Shown("entity_id", label="its id", rank=7),
    Shown("status", rank=2),
    Shown("changes", label="before → after", long=True),
    Shown("reason", long=True, rank=4),
    Shown("ip_address", rank=6),
)
WIDTHS = {"position": 8, "occurred_at": 19, "user": 12, "action": 20, "entity_type": 16}
WIDTHS |= {"entity": 16, "status": 7, "changes": 30, "reason": 30, "ip_address": 15}
WIDTHS |= {"user_id": 36, "entity_id": 36}
"""Characters of the columns, known before the first entry is."""

LONGEST_VALUE = 40
"""Characters of a value before or after a change."""


def table(entries: Sequence[Entry]) -> None:
    """Print entries as a table."""
    columns.table(LISTED, [_row(entry) for entry in entries])


def printer(form: str | None) -> Callable[[Entry], None]:
    """Return the function that prints an entry; prints the header, where there is one."""
    if form == "json":
        return console.emit_json_line
    if form == "csv":
        console.emit(csv_header())
        return lambda entry: console.emit(csv_line(entry))
    lines = Lines(LISTED, WIDTHS)
    lines.header()
    return lambda entry: lines.row(_row(entry))


def _row(entry: Entry) -> dict[str, object]:
    row = {**{name: getattr(entry, name) for name in FIELDS}, "changes": _changes(entry)}
    if console.is_terminal():
        # An id, which is abbreviated, says more than nothing where there is no name.
        row["user"] = entry.user or entry.user_id
        row["entity"] = entry.entity or entry.entity_id
    return row


def _changes(entry: Entry) -> str:
    return ", ".join(
        f"{name}: {_brief(change.old)} → {_brief(change.new)}"
        for name, change in entry.changes.items()
        if change.old is not None or change.new is not None
    )


def _brief(value: object) -> str:
    text = "∅" if value is None else msgspec.json.encode(value).decode()
    return console.cut(text, LONGEST_VALUE)
