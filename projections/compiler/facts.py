"""Facts: what an event gives to columns, as one JSON object, merged in order for each key.

An absent field leaves a column alone and a null clears it, which is what merging does. Each column
has a name in these objects that no other column has: that of the field that it mostly comes from,
so that payloads go in as they are.
"""

from collections import Counter
from collections.abc import Collection
from functools import cache, reduce
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, case, cast, func, literal
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.projections.compiler.expressions import (
    has_field,
    json_by_type,
    may_be_absent,
    of_event,
    without,
)
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import ColumnFold, Projection
from quantum_forge.schema.language.value import Constant, Element, Payload, Value
from quantum_forge.schema.language.value_types import lists_of


def is_fact(fold: ColumnFold) -> bool:
    """Whether a column is the last that facts tell of it: its values are JSON, or mixed with it."""
    return (
        fold.operation is Operation.LAST
        and not fold.where
        and any(isinstance(value, Payload | Element | Constant) for value in fold.values.values())
    )


@cache
def names_in_facts(projection: Projection) -> dict[str, str]:
    """What each column that is told is called in facts."""
    names: dict[str, str] = {}
    for fold in filter(is_fact, projection.folds):
        fields = Counter(v.name for v in fold.values.values() if isinstance(v, Payload))
        usual = [name for name, _ in fields.most_common(1) if name not in names.values()]
        names[fold.column.name] = usual[0] if usual else f"={fold.column.name}"
    return names


def facts_of(
    projection: Projection, event_types: Collection[str], raw: FromClause
) -> ColumnElement[Any]:
    """The facts of each event of these types; null for one that tells none."""
    names = names_in_facts(projection)
    by_type = {
        event_type: {
            names[fold.column.name]: (fold, fold.values[event_type])
            for fold in projection.folds
            if is_fact(fold) and event_type in fold.values
        }
        for event_type in event_types
    }
    parts = {
        event_type: _joined(_parts(projection, event_type, facts, raw))
        for event_type, facts in by_type.items()
        if facts
    }
    return json_by_type(raw, parts)


def _parts(
    projection: Projection,
    event_type: str,
    facts: dict[str, tuple[ColumnFold, Value]],
    raw: FromClause,
) -> list[ColumnElement[Any]]:
    """Objects that, put together, are the facts of an event of this type; later ones replace."""
    kept = _kept(projection.events[event_type], facts)
    constants: dict[str, Any] = {}
    built: dict[str, ColumnElement[Any]] = {}
    optional: list[ColumnElement[Any]] = []
    for name, (fold, value) in facts.items():
        match value:
            case Payload() if name in kept:
                pass
            case Payload(field) if may_be_absent(value):
                one = func.jsonb_build_object(_text(name), raw.c.data[field], type_=JSONB)
                optional.append(case((has_field(raw.c.data, field), one), else_=_document({})))
            case Payload(field):
                built[name] = raw.c.data[field]
            case Element(part):
                built[name] = raw.c.element if part is None else raw.c.element[part]
            case Constant(constant):
                constants[name] = constant
            case _:
                built[name] = of_event(value, fold.column.type, raw)
    parts: list[ColumnElement[Any]] = []
    if kept:
        # What bears the name of another's fact is none; and long lists are stored apart.
        surplus = {*names_in_facts(projection).values(), *lists_of(projection.events[event_type])}
        surplus -= {*kept, *constants, *built}
        parts.append(without(raw.c.data, surplus))
    if built:
        pairs = [part for name, value in built.items() for part in (_text(name), value)]
        parts.append(func.jsonb_build_object(*pairs, type_=JSONB))
    if constants:
        parts.append(_document(constants))
    return parts + optional


def _kept(cls: type[Event], facts: dict[str, tuple[ColumnFold, Value]]) -> set[str]:
    """The fields that stay in the payload under their names; none where they are only a few."""
    same = {
        name
        for name, (_, value) in facts.items()
        if isinstance(value, Payload) and value.name == name
    }
    return same if len(same) > len(cls.__struct_fields__) // 3 else set()


def _joined(parts: list[ColumnElement[Any]]) -> ColumnElement[Any]:
    return reduce(lambda left, right: left.op("||", return_type=JSONB())(right), parts)


def _document(facts: dict[str, Any]) -> ColumnElement[Any]:
    return cast(literal(facts, JSONB), JSONB)


def _text(name: str) -> ColumnElement[str]:
    return literal(name, Text())
