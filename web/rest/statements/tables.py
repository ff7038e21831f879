"""Tables that can be read: every read model, the views, and the log, without secret columns."""

import difflib
from functools import cache, cached_property
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table

from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.table import is_secret
from quantum_forge.schema.tables import event_logs
from quantum_forge.schema.tables.views import VIEWS
from quantum_forge.web.rest.errors import RestError

SCHEMA = "public"
"""The schema that messages name."""

_ALIKE = 0.75
"""Share of letters in common from which on PostgREST suggests the name of a table."""


class Readable:
    """A table that requests may read.

    Args:
        table: or view.
        projection: that fills it; None for the log and for views.
    """

    def __init__(self, table: Table, projection: Projection | None = None) -> None:
        self.table = table
        self.name = str(table.name)
        self.projection = projection

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns that requests may name."""
        return tuple(column.name for column in self.table.columns if not is_secret(column))

    @cached_property
    def is_whole(self) -> bool:
        """Whether it has no secret column."""
        return len(self.columns) == len(self.table.columns)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row; none in a view."""
        return tuple(column.name for column in self.table.primary_key.columns)

    def column(self, source: FromClause, name: str) -> ColumnElement[Any]:
        """Return a column of what stands for the table in a statement.

        Raises:
            RestError: 42703, when the table has no such column, or none that may be read.
        """
        if name in self.columns:
            found: ColumnElement[Any] = source.c[name]
            return found
        near = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.6)
        if near:
            hint = f'Perhaps you meant to reference the column "{self.name}.{near[0]}".'
        else:
            hint = f"The columns are {', '.join(self.columns)}."
        message = f"column {self.name}.{name} does not exist"
        raise RestError(400, "42703", message, hint=hint)


def readable(name: str) -> Readable:
    """Return the table of a name.

    Raises:
        RestError: PGRST205, when nothing of that name can be read.
    """
    if (projection := PROJECTIONS.get(name)) is not None:
        return _filled_by(projection)
    if (view := VIEWS.get(name)) is not None:
        return Readable(view)
    if name == event_logs.name:
        return Readable(event_logs)
    names = readable_names()
    near = difflib.get_close_matches(name, names, n=1, cutoff=_ALIKE)
    hint = f"Perhaps you meant the table '{SCHEMA}.{near[0]}'" if near else None
    raise RestError(
        404,
        "PGRST205",
        f"Could not find the table '{SCHEMA}.{name}' in the schema cache",
        hint=hint or suggestion(name, names, otherwise="") or None,
    )


@cache
def _filled_by(projection: Projection) -> Readable:
    return Readable(projection.table, projection)


def readable_names() -> list[str]:
    """Return the names of all tables that can be read."""
    return [*PROJECTIONS, *VIEWS, str(event_logs.name)]
