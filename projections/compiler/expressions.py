"""Values as SQL expressions: of an event, of a JSON document, of its lists."""

from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from quantum_forge.schema.language.value import (
    Constant,
    Element,
    ElementIndex,
    Envelope,
    FromMetadata,
    Payload,
    ShortFacts,
    Truncated,
    Value,
)


def of_event(value: Value, type_: TypeEngine[Any], source: FromClause) -> ColumnElement[Any]:
    """A value as an expression over one event (with `element` and `element_index` if spread)."""
    match value:
        case Payload(name):
            return from_json(source.c.data, name, type_)
        case Element(part):
            return from_json(source.c.element, part, type_)
        case ElementIndex():
            return type_coerce(source.c.element_index, type_)
        case Envelope("position"):
            return type_coerce(source.c.id, type_)
        case FromMetadata(name):
            text = source.c.metadata[name]
            return case((func.jsonb_typeof(text) == "string", text.astext))
        case ShortFacts(fields):
            return func.short_facts(without(source.c.data, fields), type_=JSONB)
        case Truncated(unit, inner):
            # In UTC: the session's time zone may be half an hour off.
            time = of_event(inner, type_, source)
            return func.date_trunc(unit, time, "UTC", type_=type_)
        case Envelope(name):
            return source.c[name]
        case Constant(constant):
            return constant_of(constant, type_)


def constant_of(constant: object, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """A constant, typed as a column."""
    # Typed, None would be the JSON null in a JSONB column.
    return cast(null() if constant is None else literal(constant, type_), type_)


def from_json(
    json: ColumnElement[Any], part: int | str | None, type_: TypeEngine[Any]
) -> ColumnElement[Any]:
    """A part of a JSON value as a column's type; null where it is absent or null."""
    if isinstance(type_, JSONB):
        value = json if part is None else json[part]
        return func.nullif(value, cast(literal_column("'null'"), JSONB), type_=JSONB)
    if part is None:
        text: ColumnElement[Any] = json.op("#>>", return_type=Text())(literal_column("'{}'"))
    else:
        text = json[part].astext
    return text if isinstance(type_, Text) else cast(text, type_)


def elements_of(source: FromClause, name: str) -> FromClause:
    """The elements of a list in the payload, with their place, counted from 1."""
    return (
        func.jsonb_array_elements(source.c.data[name])
        .table_valued("element", with_ordinality="ordinality", joins_implicitly=True)
        .render_derived(name="spread")
    )


def without(json: ColumnElement[Any], names: Collection[str]) -> ColumnElement[Any]:
    """A JSON object without some of its fields, if there are any; what is left is in memory."""
    if not names:
        return json
    return json.op("-", return_type=JSONB())(cast(literal(sorted(names)), ARRAY(Text)))


def json_by_type(source: FromClause, parts: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    """A JSON value for each of these event types; null for others."""
    if not parts:
        return cast(null(), JSONB)
    return case(*((source.c.event_type == name, part) for name, part in parts.items()))


def first_item(array: ColumnElement[Any], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """The first item of an array."""
    return type_coerce(type_coerce(array, ARRAY(type_))[1], type_)


def last_item(array: ColumnElement[Any], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """The last item of an array."""
    last = func.array_upper(array, 1, type_=Integer())
    return type_coerce(type_coerce(array, ARRAY(type_))[last], type_)


def has_field(json: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a JSON object has a field, be it null."""
    return json.op("?", is_comparison=True)(literal(name, Text()))


def may_be_absent(value: Value) -> TypeGuard[Payload]:
    """Whether an event may leave the value out, and a column alone."""
    return isinstance(value, Payload) and not value.required


def event_column(value: Value) -> str:
    """The name, among live events, of the column that holds a value as a whole."""
    match value:
        case Element():
            return "_element"
        case ElementIndex():
            return "_element_index"
        case Envelope("data"):
            return "_whole"
        case Envelope(name):
            return f"_{name}"
        case FromMetadata(name):
            return f"_metadata_{name}"
        case Truncated(unit, Envelope(name)):
            return f"_{unit}_of_{name}"
        case Truncated(unit, Payload(name)):
            return f"_{unit}_of_data_{name}"
        case _:
            raise AssertionError(value)
