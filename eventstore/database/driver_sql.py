"""Statements run by the driver itself, for features that SQLAlchemy does not pass on."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import dialect


def driver_sql(
    statement: ClauseElement, values: Mapping[str, object] | None = None
) -> tuple[str, dict[str, Any]]:
    """SQL with places such as %(name)s, and what belongs there, as psycopg adapts it.

    Args:
        statement: of SQLAlchemy.
        values: of the parameters that it leaves open.
    """
    compiled: Any = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    state = compiled.construct_expanded_state(dict(values or {}))
    processors = {**compiled._bind_processors, **state.processors}
    return str(state.statement), {
        name: processors[name](value) if name in processors else value
        for name, value in state.parameters.items()
    }
