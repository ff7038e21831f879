"""Filters as conditions of SQLAlchemy Core.

Names become columns of the declared tables, and values parameters: no text of a request is SQL.
A value is a text that PostgreSQL casts to the type of the column, so that errors are PostgreSQL's.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    Alias,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    Double,
    FromClause,
    Integer,
    Interval,
    Numeric,
    SmallInteger,
    Text,
    Time,
    Uuid,
    and_,
    cast,
    false,
    func,
    literal,
    literal_column,
    not_,
    null,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, REAL, REGCONFIG, TIMESTAMP, TSVECTOR
from sqlalchemy.types import TypeEngine

from quantum_forge.schema.language.words import (
    CONFIGURATION,
    configuration,
    searched_columns,
    where_words_are,
    words_of,
)
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.query import Condition, Field, Filter, Tree
from quantum_forge.web.rest.statements.tables import Readable

_SQL: Mapping[str, str] = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "LIKE",
    "ilike": "ILIKE",
    "match": "~",
    "imatch": "~*",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
_PATTERNS = frozenset({"like", "ilike", "match", "imatch"})
_WILD = frozenset({"like", "ilike"})

_TO_QUERY = {
    "fts": func.to_tsquery,
    "plfts": func.plainto_tsquery,
    "phfts": func.phraseto_tsquery,
    "wfts": func.websearch_to_tsquery,
}

_TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": Text(),
    "varchar": Text(),
    "character varying": Text(),
    "int": Integer(),
    "int4": Integer(),
    "integer": Integer(),
    "int2": SmallInteger(),
    "smallint": SmallInteger(),
    "int8": BigInteger(),
    "bigint": BigInteger(),
    "float": Double(),
    "float4": REAL(),
    "real": REAL(),
    "float8": Double(),
    "double precision": Double(),
    "numeric": Numeric(),
    "decimal": Numeric(),
    "bool": Boolean(),
    "boolean": Boolean(),
    "uuid": Uuid(),
    "date": Date(),
    "time": Time(),
    "timestamp": TIMESTAMP(),
    "timestamptz": TIMESTAMP(timezone=True),
    "interval": Interval(),
    "json": JSON(),
    "jsonb": JSONB(),
}
"""The types to which requests may cast."""

Existence = Callable[[str], ColumnElement[bool] | None]
"""Whether a row has related rows in the embedded relation of a name; None: it embeds none."""


def cast_type(name: str) -> TypeEngine[Any]:
    """Return the type of a name.

    Raises:
        RestError: 42704, for a name that is no type to which requests may cast.
    """
    if (found := _TYPES.get(name.lower())) is None:
        raise RestError(
            400, "42704", f'type "{name}" does not exist', hint=f"Use {', '.join(_TYPES)}."
        )
    return found


def value_of(table: Readable, source: FromClause, field: Field) -> ColumnElement[Any]:
    """Return the value of a field: a column, or what its JSON has at the end of the steps.

    Raises:
        RestError: 42703, when the table has no such column.
    """
    value = table.column(source, field.name)
    if field.steps and not isinstance(value.type, JSON):
        value = func.to_jsonb(value, type_=JSONB())
    for step in field.steps:
        key = literal(step.key, Integer() if isinstance(step.key, int) else Text())
        if step.as_text:
            value = value.op("->>", return_type=Text())(key)
        else:
            value = value.op("->", return_type=JSONB())(key)
    return value


def clause(
    table: Readable, source: FromClause, filter_: Filter, related: Existence
) -> ColumnElement[bool]:
    """Return a filter as a condition on the rows of a source.

    Raises:
        RestError: 42703 for an unknown column, PGRST120 for a comparison with a relation.
    """
    if isinstance(filter_, Tree):
        parts = [clause(table, source, part, related) for part in filter_.parts]
        joined = or_(false(), *parts) if filter_.disjoint else and_(true(), *parts)
        return not_(joined.self_group()) if filter_.negated else joined
    name = filter_.field.name
    if not filter_.field.steps and name not in table.columns:
        exists = related(name)
        if exists is not None:
            return _existence(filter_, exists)
    value = value_of(table, source, filter_.field)
    if _is_indexed(table, filter_):
        value = words_of(value)
    found = _comparison(filter_, value)
    return not_(found) if filter_.negated else found


def clauses(
    table: Readable, source: FromClause, filter_: Filter, related: Existence
) -> Iterator[ColumnElement[bool]]:
    """Yield a filter as a condition, and what follows from it that an index of words serves.

    Raises:
        RestError: as `clause`.
    """
    yield clause(table, source, filter_, related)
    yield from _narrowed(table, source, filter_)


def _narrowed(
    table: Readable, source: FromClause, filter_: Filter
) -> Iterator[ColumnElement[bool]]:
    if filter_.negated:
        return
    if isinstance(filter_, Tree):
        for part in () if filter_.disjoint else filter_.parts:
            yield from _narrowed(table, source, part)
    elif (
        _is_indexed(table, filter_) and isinstance(source, Alias) and source.element is table.table
    ):
        assert isinstance(filter_.value, str)
        query = _query(filter_, filter_.value)
        yield where_words_are(table.table, source, [filter_.field.name], query)


def _is_indexed(table: Readable, condition: Condition) -> bool:
    """Whether a condition is a search by words that the index of its table serves."""
    field = condition.field
    return (
        condition.operator in _TO_QUERY
        and condition.language in (None, CONFIGURATION)
        and not field.steps
        and field.name in searched_columns(table.table)
    )


def _existence(condition: Condition, exists: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether related rows are there: `is.null` and `not.is.null` ask for it."""
    if condition.operator != "is" or condition.value not in ("null", "not_null"):
        raise RestError(
            400,
            "PGRST120",
            f"Bad operator on the '{condition.field.name}' embedded resource",
            details="Only is null or not is null filters are allowed on embedded resources",
        )
    is_absent = (condition.value == "null") is not condition.negated
    return not_(exists) if is_absent else exists


def _comparison(condition: Condition, value: ColumnElement[Any]) -> ColumnElement[bool]:
    operator, written = condition.operator, condition.value
    if isinstance(written, tuple):
        texts = literal(list(written), ARRAY(Text()))
        return value.op("=", is_comparison=True)(func.any(cast(texts, ARRAY(value.type))))
    if operator == "is":
        return _is(value, written)
    if operator in _TO_QUERY:
        return _matches(condition, value, written)
    if operator in _WILD:
        written = written.replace("*", "%")
    type_ = Text() if operator in _PATTERNS else value.type
    if operator == "isdistinct":
        return value.is_distinct_from(_typed(written, type_))
    compare = value.op(_SQL[operator], is_comparison=True)
    if condition.quantifier is None:
        return compare(_typed(written, type_))
    array = cast(literal(written, Text()), ARRAY(type_))
    return compare(func.any(array) if condition.quantifier == "any" else func.all(array))


def _typed(written: str, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    text = literal(written, Text())
    return text if isinstance(type_, Text) else cast(text, type_)


def _is(value: ColumnElement[Any], written: str) -> ColumnElement[bool]:
    match written:
        case "null":
            return value.is_(null())
        case "not_null":
            return value.is_not(null())
        case "true":
            return value.is_(true())
        case "false":
            return value.is_(false())
    return value.op("IS", is_comparison=True)(literal_column("UNKNOWN"))


def _matches(condition: Condition, value: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """A text search; what is no tsvector yet becomes one."""
    if not isinstance(value.type, TSVECTOR):
        value = func.to_tsvector(_language(condition), value)
    return value.op("@@", is_comparison=True)(_query(condition, words))


def _query(condition: Condition, words: str) -> ColumnElement[Any]:
    return _TO_QUERY[condition.operator](_language(condition), literal(words, Text()))


def _language(condition: Condition) -> ColumnElement[Any]:
    """The text search configuration: that of the index of words, unless another one is named."""
    if condition.language in (None, CONFIGURATION):
        return configuration()
    return cast(literal(condition.language, Text()), REGCONFIG)
