"""Rows of projections whose events replace all earlier rows of their key."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    case,
    cast,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB, distinct_on

from quantum_forge.projections.compiler.expressions import elements_of, of_event
from quantum_forge.projections.compiler.live import columns_of
from quantum_forge.projections.compiler.log import (
    columns_read,
    group_key,
    in_range,
    key_of,
    logged_by,
)
from quantum_forge.projections.compiler.shape import Shape
from quantum_forge.schema.language.projection import ColumnFold, Projection


def replacing_rows(shape: Shape) -> Select[Any]:
    """The elements of the last event of each key, unless that event ends the rows."""
    projection = shape.projection
    assert projection.elements is not None
    names = group_key(projection)
    logged = logged_by(projection)
    keys = [logged.c.tenant_id, *(key_of(projection, name, logged) for name in names)]
    last = (
        select(
            *(column for column in logged.c if column.name in {"data", *columns_read(projection)})
        )
        .where(*in_range(logged, sorted(projection.events)))
        .ext(distinct_on(*keys))
        .order_by(*keys, logged.c.id.desc())
    )
    elements = _spread(projection, shape.named(last, "last"))
    whole = elements.subquery("elements")
    used = columns_of(whole, [_rows(projection, whole)])
    narrow = elements.with_only_columns(*(elements.selected_columns[name] for name in used))
    return _rows(projection, shape.named(narrow, "elements"))


def _spread(projection: Projection, last: FromClause) -> Select[Any]:
    """A row for each element of events, with all columns of these."""
    assert projection.elements is not None
    spread = elements_of(last, projection.elements.name)
    return (
        select(
            last,
            type_coerce(spread.c.element, JSONB).label("element"),
            cast(spread.c.ordinality - 1, Integer).label("element_index"),
        )
        .select_from(last.join(spread, true()))
        .where(last.c.event_type.in_(sorted(set(projection.events) - projection.ends)))
    )


def _rows(projection: Projection, spread: FromClause) -> Select[Any]:
    """The rows that elements are."""
    given: dict[str, ColumnElement[Any]] = {"tenant_id": spread.c.tenant_id}
    given |= {name: key_of(projection, name, spread) for name in projection.key}
    given |= {str(fold.column.name): _one_of(fold, spread) for fold in projection.folds}
    given |= {"created_at": spread.c.occurred_at, "updated_at": spread.c.occurred_at}
    given["last_position"] = spread.c.id
    return select(*(value.label(name) for name, value in given.items()))


def _one_of(fold: ColumnFold, source: FromClause) -> ColumnElement[Any]:
    expressions = {
        event_type: of_event(value, fold.column.type, source)
        for event_type, value in fold.values.items()
    }
    if len(set(fold.values.values())) == 1:
        return next(iter(expressions.values()))
    return case(*((source.c.event_type == name, value) for name, value in expressions.items()))
