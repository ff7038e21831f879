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
from quantum_forge.projections.compiler.log import group_key, in_range, key_of, logged_by
from quantum_forge.schema.language.projection import ColumnFold, Projection


def replacing_rows(projection: Projection) -> Select[Any]:
    """The elements of the last event of each key, unless that event ends the rows."""
    assert projection.elements is not None
    names = group_key(projection)
    logged = logged_by(projection)
    keys = [logged.c.tenant_id, *(key_of(projection, name, logged) for name in names)]
    winners = (
        select(logged)
        .where(*in_range(logged, sorted(projection.events)))
        .ext(distinct_on(*keys))
        .order_by(*keys, logged.c.id.desc())
        .subquery("winners")
    )
    spread = elements_of(winners, projection.elements.name)
    element = type_coerce(spread.c.element, JSONB)
    rows = (
        select(
            winners,
            element.label("element"),
            cast(spread.c.ordinality - 1, Integer).label("element_index"),
        )
        .select_from(winners.join(spread, true()))
        .where(winners.c.event_type.in_(sorted(set(projection.events) - projection.ends)))
        .subquery("rows")
    )
    given: dict[str, ColumnElement[Any]] = {"tenant_id": rows.c.tenant_id}
    given |= {name: key_of(projection, name, rows) for name in projection.key}
    given |= {str(fold.column.name): _one_of(fold, rows) for fold in projection.folds}
    given |= {"created_at": rows.c.occurred_at, "updated_at": rows.c.occurred_at}
    given["last_position"] = rows.c.id
    return select(*(value.label(name) for name, value in given.items()))


def _one_of(fold: ColumnFold, source: FromClause) -> ColumnElement[Any]:
    expressions = {
        event_type: of_event(value, fold.column.type, source)
        for event_type, value in fold.values.items()
    }
    if len(set(fold.values.values())) == 1:
        return next(iter(expressions.values()))
    return case(*((source.c.event_type == name, value) for name, value in expressions.items()))
