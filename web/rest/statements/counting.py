"""Number of the rows that a request has without limits: exact, or as the planner estimates."""

from typing import Any

from sqlalchemy import ClauseElement, Connection, Select, func, select

from quantum_forge.eventstore.database.driver_sql import driver_sql
from quantum_forge.eventstore.database.tenancy import sees_every_tenant
from quantum_forge.web.rest.request.preferences import Count


def count_of(matched: Select[Any]) -> Select[int]:
    """Return the query for the number of rows of another."""
    return select(func.count()).select_from(matched.subquery("matched"))


def is_estimated(connection: Connection, count: Count | None) -> bool:
    """Whether a request is answered with an estimate.

    Only to logins that see every tenant: statistics cover the rows of all, so that an estimate
    would tell a tenant of the others' rows. To others, every count is exact.
    """
    return count in (Count.PLANNED, Count.ESTIMATED) and sees_every_tenant(connection)


def estimated(
    connection: Connection, matched: Select[Any], count: Count, max_rows: int | None
) -> int:
    """Return the rows that the planner expects; `estimated`: counted up to those of a page."""
    expected = planned(connection, matched)
    if count is Count.PLANNED or max_rows is None:
        return expected
    counted = connection.execute(count_of(matched.limit(max_rows + 1))).scalar_one()
    return max(expected, counted) if counted > max_rows else counted


def planned(connection: Connection, matched: Select[Any]) -> int:
    """Return the rows that the planner expects of a query."""
    (plan,) = explain(connection, matched)
    rows: int = plan["Plan"]["Plan Rows"]
    return rows


def explain(
    connection: Connection, statement: ClauseElement, options: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the plan of a statement; `options`: of EXPLAIN, from a fixed list."""
    sql, parameters = driver_sql(statement)
    asked = ", ".join(["FORMAT JSON", *(option.upper() for option in options)])
    found = connection.exec_driver_sql(f"EXPLAIN ({asked}) {sql}", parameters)
    plan: list[dict[str, Any]] = found.scalar_one()
    return plan
