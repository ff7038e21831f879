"""Difference of two states of the same rows: added, removed, changed."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array

Row = dict[str, Any]


class ChangeKind(StrEnum):
    """What happened to a row between two states."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs.

    before, after: the whole row, None where it is not there. columns: those whose values differ,
    in the order of the table; empty for a row that is on one side only.
    """

    kind: ChangeKind
    key: Row
    before: Row | None
    after: Row | None
    columns: list[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Number of rows that differ, and the first of them by key."""

    added: int
    removed: int
    changed: int
    examples: list[Change]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed)


def select_changes(
    before: FromClause, after: FromClause, key: Sequence[str], limit: int | None
) -> Select[Any]:
    """The query for the rows that differ in any column, by key, with their numbers in all."""
    added = before.c[key[0]].is_(None)
    removed = after.c[key[0]].is_(None)
    distinct = {column.name: column.is_distinct_from(after.c[column.name]) for column in before.c}
    names: ColumnElement[Any] = array(
        [case((differs, literal(name, Text())), else_=null()) for name, differs in distinct.items()]
    )
    differing = (
        select(
            case(
                (added, ChangeKind.ADDED), (removed, ChangeKind.REMOVED), else_=ChangeKind.CHANGED
            ).label("kind"),
            func.array_remove(names, cast(null(), Text)).label("columns"),
            *(func.coalesce(before.c[name], after.c[name]).label(f"key_{name}") for name in key),
            *(column.label(f"before_{column.name}") for column in before.c),
            *(column.label(f"after_{column.name}") for column in after.c),
        )
        .select_from(
            before.outerjoin(
                after, and_(*(before.c[name] == after.c[name] for name in key)), full=True
            )
        )
        .where(or_(*distinct.values()))
        .subquery("differing")
    )
    numbers = [
        func.count().filter(differing.c.kind == kind).over().label(f"number_{kind}")
        for kind in ChangeKind
    ]
    return (
        select(differing, *numbers)
        .order_by(*(differing.c[f"key_{name}"] for name in key))
        .limit(limit)
    )


def difference(
    connection: Connection,
    before: FromClause,
    after: FromClause,
    key: Sequence[str],
    *,
    limit: int | None = 20,
) -> Difference:
    """Compare two selectables with the same columns, row by row, in the database.

    Args:
        connection: which must see both alike.
        before: for instance `as_of` a position; its columns are compared.
        after: for instance a table.
        key: the columns that identify a row; none is null.
        limit: how many differing rows to give; they are counted all the same.
    """
    rows = connection.execute(select_changes(before, after, key, limit)).mappings().all()
    names = [str(column.name) for column in before.c]
    return Difference(
        **{kind.value: rows[0][f"number_{kind}"] if rows else 0 for kind in ChangeKind},
        examples=[_change(row, key, names) for row in rows],
    )


def _change(row: RowMapping, key: Sequence[str], names: Sequence[str]) -> Change:
    kind = ChangeKind(row["kind"])
    return Change(
        kind=kind,
        key=_part(row, "key_", key),
        before=None if kind is ChangeKind.ADDED else _part(row, "before_", names),
        after=None if kind is ChangeKind.REMOVED else _part(row, "after_", names),
        columns=list(row["columns"]) if kind is ChangeKind.CHANGED else [],
    )


def _part(row: RowMapping, prefix: str, names: Sequence[str]) -> Row:
    return {str(name): row[prefix + name] for name in names}
