"""Catalogue of the read models: every table, its columns, and the events that feed them.

`make docs` puts it into the site; `python -m` with the name of this module prints it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import CheckConstraint, Column, Index, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.create import policies_of
from quantum_forge.schema.domains import DOMAINS, EVENTS
from quantum_forge.schema.language.describe import fields_of, summary_of
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ENVELOPE_COLUMNS, ColumnFold, Projection
from quantum_forge.schema.language.value import (
    Constant,
    Element,
    ElementIndex,
    Envelope,
    Payload,
    Value,
)
from quantum_forge.schema.sql import sql_of
from quantum_forge.schema.tables.views import VIEWS

POINTS_TO = {
    "app_id": "quantum_apps",
    "app_version_id": "app_versions",
    "batch_id": "batch_jobs",
    "listing_id": "marketplace_listings",
    "protein_id": "protein_structures",
    "active_molecule_id": "molecules",
    "active_calculation_id": "calculations",
}
"""Tables whose name does not follow from the column that names a row of theirs."""

MANY = 12
"""From so many event types on, they are counted rather than named."""

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def render() -> str:
    """Return the page, as Markdown."""
    parts = [
        "# Catalogue\n",
        "Every table below is a read model: derived from the log by a fold, and written by nothing"
        " else. Each also has\n`tenant_id` (first in its key), `created_at` and `updated_at` (times"
        " of its earliest and latest event), and\n`last_position` (of the last event folded in).\n",
        *_contents(),
    ]
    for name, declared in _domains():
        parts += [f"## {_title(name)}\n", *_diagram(declared)]
        for table in declared:
            parts += _table(PROJECTIONS[table.name])
    parts += ["## Views\n", *map(_view, VIEWS), "## Events\n", *_events()]
    return "\n".join(parts)


def _domains() -> Iterator[tuple[str, list[Table]]]:
    """The domains that declare tables, by name, each with its tables in order."""
    for domain in DOMAINS:
        found = [
            projection.table
            for projection in PROJECTIONS.values()
            if projection.declared_at.rpartition(":")[0] == domain.__file__
        ]
        if found:
            yield domain.__name__.rpartition(".")[2], found


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _contents() -> Iterator[str]:
    yield "| domain | tables | declared in |"
    yield "|---|---|---|"
    for name, declared in _domains():
        found = ", ".join(f"[{table.name}](#{table.name})" for table in declared)
        yield f"| {_title(name)} | {found} | `schema/domains/{name}.py` |"
    yield ""


def _diagram(declared: Sequence[Table]) -> Iterator[str]:
    """Which tables name rows of which others; users are named by nearly all, and left out."""
    lines = []
    for table in declared:
        for column in table.columns:
            if (other := _points_to(table, column)) is not None:
                one = "||" if not column.nullable else "|o"
                lines.append(f"    {other} {one}--o{{ {table.name} : {column.name}")
    named = {word for line in lines for word in line.split()}
    lines += [f"    {table.name}" for table in declared if table.name not in named]
    yield "\n".join(["```mermaid", "erDiagram", *lines, "```", ""])


def _points_to(table: Table, column: Column[object]) -> str | None:
    if column.name == "user_id" and "user" not in table.name:
        return None
    stem = column.name.removesuffix("_id")
    other = POINTS_TO.get(column.name, f"{stem}s")
    is_known = column.name.endswith("_id") and other in PROJECTIONS and other != table.name
    return other if is_known else None


def _table(projection: Projection) -> Iterator[str]:
    table = projection.table
    key = ", ".join(f"`{column.name}`" for column in table.primary_key.columns)
    yield f"### {table.name}\n"
    yield f"{table.comment}. Key: {key}.\n"
    yield "| column | type | null | meaning and unit | from |"
    yield "|---|---|---|---|---|"
    folds = {fold.column.name: fold for fold in projection.folds}
    for column in table.columns:
        if column.name not in ENVELOPE_COLUMNS:
            null = "yes" if column.nullable else ""
            kind = column.type.compile(dialect=_POSTGRESQL)
            meaning = _cell(column.comment or "")
            source = _source(projection, folds, column)
            yield f"| `{column.name}` | {kind} | {null} | {meaning} | {source} |"
    yield ""
    yield from _rows_come_and_go(projection)
    yield "- Indexes: " + ("; ".join(_indexes(table)) or "that of the key") + "."
    checks = [c for c in table.constraints if isinstance(c, CheckConstraint)]
    if checks:
        yield "- Checks: " + "; ".join(sorted(_check(c) for c in checks)) + "."
    yield "- Policies: " + ", ".join(f"`{name}`" for name in policies_of(table)) + ".\n"


def _rows_come_and_go(projection: Projection) -> Iterator[str]:
    opens = [name for name in projection.events if name in projection.opens]
    yield f"- A row begins with {_named(opens)}" + (
        f", and ends with {_named(sorted(projection.ends))}." if projection.ends else "."
    )
    if projection.retained:
        yield "- Rows are kept as long as each tenant decides (`retention_applied`)."


def _source(projection: Projection, folds: dict[str, ColumnFold], column: Column[object]) -> str:
    if column.name in projection.key:
        return _values(projection.key[column.name])
    if column.computed is not None:
        return f"`{column.computed.sqltext}`".replace("|", "\\|")
    fold = folds[column.name]
    condition = "".join(f", where {name} is {_json(value)}" for name, value in fold.where.items())
    if fold.operation is Operation.COUNT:
        return f"count of {_named(fold.values)}{condition}"
    word = "" if fold.operation is Operation.LAST else f"{fold.operation.value} of "
    return word + _values(fold.values) + condition


def _values(values: Mapping[str, Value]) -> str:
    """The values by what they are, each with the event types that have it."""
    by_source: dict[str, list[str]] = {}
    for event_type, value in values.items():
        by_source.setdefault(_value(value), []).append(event_type)
    return "; ".join(f"{source} of {_named(types)}" for source, types in by_source.items())


def _value(value: Value) -> str:
    match value:
        case Payload(name):
            return f"`{name}`"
        case Element(None):
            return "each element"
        case Element(str(name)):
            return f"`{name}` of each element"
        case Element():
            return "its part of each element"
        case ElementIndex():
            return "the element's index"
        case Envelope(name):
            return name.replace("_", " ")
        case Constant(constant):
            return "null" if constant is None else f"“{constant}”"
        case _:
            return re.sub(r"(?<!^)(?=[A-Z])", " ", type(value).__name__).lower()


def _named(types: Iterable[str]) -> str:
    names = list(types)
    if len(names) >= MANY:
        return "every event type" if len(names) > len(EVENTS) // 2 else f"{len(names)} event types"
    return ", ".join(f"`{name}`" for name in names)


def _indexes(table: Table) -> list[str]:
    indexes: list[Index] = sorted(table.indexes, key=lambda index: str(index.name))
    return [_index(index) for index in indexes]


def _index(index: Index) -> str:
    sql = str(CreateIndex(index).compile(dialect=_POSTGRESQL))
    unique = "unique " if index.unique else ""
    return f"{unique}`{index.name}` {sql.split(f' ON {index.table.name} ', 1)[1]}"  # type: ignore[union-attr]


def _check(constraint: CheckConstraint) -> str:
    return str(constraint.name).replace("_", " ")


def _view(name: str) -> str:
    """What the comment in its SQL says."""
    (comment,) = re.findall(rf"COMMENT ON VIEW {name} IS\s+'([^']*)'", sql_of(name))
    return f"### {name}\n\n{' '.join(comment.split())}. Declared in `schema/sql/{name}.sql`.\n"


def _events() -> Iterator[str]:
    yield "Fields in brackets may be left out. `qforge record --list EVENT` says what each holds.\n"
    yield "| event | happens to | what | fields | feeds |"
    yield "|---|---|---|---|---|"
    for name, cls in sorted(EVENTS.items()):
        if not cls.__module__.startswith("quantum_forge."):
            continue
        fields = ", ".join(f.name if f.required else f"[{f.name}]" for f in fields_of(cls))
        fed = ", ".join(f"[{p.name}](#{p.name})" for p in PROJECTIONS.values() if name in p.events)
        yield f"| `{name}` | {cls.entity_type} | {_cell(summary_of(cls))} | {fields} | {fed} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _json(value: object) -> str:
    return "null" if value is None else f"{value}"


if __name__ == "__main__":
    print(render())
