"""Rows of queries, and the conditions that questions about several tables have."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    select,
)

from quantum_forge.eventstore.log.abbreviations import id_range

Row = dict[str, Any]
"""A row as a mapping from its columns' names."""


class Range(msgspec.Struct, frozen=True):
    """Numbers from `low` to `high`, both included; None leaves an end open."""

    low: float | None = None
    high: float | None = None


def rows(connection: Connection, query: Select[Any]) -> list[Row]:
    """The rows of a query, each as a dict."""
    return [dict(row) for row in connection.execute(query).mappings()]


def select_by_prefix(table: Table, tenant_id: UUID, digits: str) -> Select[Any]:
    """The rows whose id begins with these hexadecimal digits, by id; at most ten."""
    first, last = id_range(digits)
    return (
        select(table)
        .where(table.c.tenant_id == tenant_id, table.c.id.between(first, last))
        .order_by(table.c.id)
        .limit(10)
    )


def select_by_ids(table: Table, tenant_id: UUID, ids: Sequence[UUID]) -> Select[Any]:
    """The rows with these ids, by id."""
    return (
        select(table)
        .where(table.c.tenant_id == tenant_id, table.c.id.in_(ids))
        .order_by(table.c.id)
    )


def during(
    column: Column[Any], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    """The conditions that a time is in a period, the first moment included and the last not."""
    conditions = []
    if since is not None:
        conditions.append(column >= since)
    if until is not None:
        conditions.append(column < until)
    return conditions


def within(column: Column[Any], bounds: Range) -> list[ColumnElement[bool]]:
    """The conditions that a number is there and in a range."""
    conditions = []
    if bounds.low is not None:
        conditions.append(column >= bounds.low)
    if bounds.high is not None:
        conditions.append(column <= bounds.high)
    return conditions or [column.is_not(None)]


def sorted_by(
    by: ColumnElement[Any], id_: ColumnElement[Any], descending: bool
) -> list[ColumnElement[Any]]:
    """The order by a column, and by id where that ties."""
    return [by.desc(), id_.desc()] if descending else [by, id_]
