"""Parser of query strings, in the grammar of PostgREST."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request import limits
from quantum_forge.web.rest.request.filters import condition, conditions_of, tree
from quantum_forge.web.rest.request.query import (
    Aggregate,
    Column,
    Embed,
    Field,
    Filter,
    Item,
    Join,
    Level,
    Order,
    Path,
    Query,
    Star,
)
from quantum_forge.web.rest.request.scanner import Scanner

MOST = 2**63 - 1
"""Rows that a limit or an offset can count."""

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)

Made = TypeVar("Made")


def parse(pairs: Sequence[tuple[str, str]]) -> Query:
    """Parse a query string.

    Args:
        pairs: its names and values, decoded, in their order.

    Raises:
        RestError: PGRST100 with the column and what is expected there, or with the limit that the
            query is above (limits.py); PGRST103 for a negative limit; 22021 for what is no text of
            PostgreSQL.
    """
    parts: dict[str, object] = {}
    asked: Counter[str] = Counter()
    levels: dict[Path, Level] = {}
    for key, value in pairs:
        _require_text(key, value)
        match key:
            case "select":
                items = _whole(Scanner("select parameter", value), _items)
                limits.require_few(items)
                parts["select"] = items
            case "columns":
                parts["columns"] = _names(Scanner("columns parameter", value))
            case "on_conflict":
                parts["on_conflict"] = _names(Scanner("on_conflict parameter", value))
            case "as_of" | "after":
                parts[key] = value
            case _:
                _add(levels, key, value, asked)
    return msgspec.structs.replace(Query(levels=levels), **parts)


def _require_text(*texts: str) -> None:
    for text in texts:
        try:
            storable = b"\0" not in text.encode()
        except UnicodeEncodeError:
            storable = False
        if not storable:
            raise RestError(400, "22021", 'invalid byte sequence for encoding "UTF8"')


def _add(levels: dict[Path, Level], key: str, value: str, asked: Counter[str]) -> None:
    """Add what a parameter restricts to the level of its path, and count it."""
    scanner = Scanner("tree path", key)
    names = [scanner.name("field name")]
    while scanner.take("."):
        names.append(scanner.name("field name"))
    steps = scanner.steps()
    scanner.require_end()
    *path, last = names
    negated = False
    change: dict[str, object]
    restricts = not steps
    if restricts and last in ("and", "or"):
        negated = bool(path) and path[-1] == "not"
        path = path[:-1] if negated else path
    level = levels.get(tuple(path), Level())
    if restricts and last in ("and", "or"):
        found = _whole(Scanner("logic tree", value, f"{last}{value}"), tree(last == "or", negated))
        change = {"filters": (*level.filters, _counted(found, asked))}
    elif restricts and last == "order":
        order = _whole(Scanner("order", value), _order)
        asked["order"] += len(order)
        limits.require(asked["order"], limits.ORDER_TERMS, "terms of an order")
        change = {"order": order}
    elif restricts and last in ("limit", "offset"):
        change = {last: _rows(last, value)}
    else:
        field = Field(last, steps)
        compared = _whole(Scanner("filter", value), lambda read: condition(read, field))
        change = {"filters": (*level.filters, _counted(compared, asked))}
    levels[tuple(path)] = msgspec.structs.replace(level, **change)


def _counted(filter_: Filter, asked: Counter[str]) -> Filter:
    """Return a filter that is not one too many."""
    for condition_ in conditions_of(filter_):
        asked["filters"] += 1
        asked["steps"] += len(condition_.field.steps)
        asked["values"] += len(condition_.value) if isinstance(condition_.value, tuple) else 0
    limits.require(asked["filters"], limits.FILTERS, "filters")
    limits.require(asked["steps"], limits.ALL_JSON_STEPS, "steps into JSON that are compared")
    limits.require(asked["values"], limits.LIST_VALUES, "values in lists")
    return filter_


def _whole(scanner: Scanner, read: Callable[[Scanner], Made]) -> Made:
    made = read(scanner)
    scanner.require_end()
    return made


def _names(scanner: Scanner) -> tuple[str, ...]:
    names = []
    while not scanner.is_at_end:
        scanner.skip_blanks()
        names.append(scanner.name("column name"))
        limits.require(len(names), limits.COLUMNS, "columns")
        if not scanner.is_at_end:
            scanner.require(",")
    return tuple(names)


def _rows(what: str, written: str) -> int:
    if not _NUMBER.fullmatch(written):
        raise Scanner(what, written).failure("a number of rows")
    # Texts of thousands of digits are no number to Python.
    rows = min(MOST, int(written.lstrip("+-").lstrip("0")[: len(str(MOST)) + 1] or 0))
    rows = -rows if written.startswith("-") else rows
    if what == "limit" and rows < 0:
        raise range_error("Limit should be greater than or equal to zero.")
    return max(0, rows)


def range_error(details: str, headers: dict[str, str] | None = None) -> RestError:
    """Return the error for rows that are not there, or cannot be."""
    return RestError(
        416, "PGRST103", "Requested range not satisfiable", details=details, headers=headers
    )


# Order


def _order(scanner: Scanner) -> tuple[Order, ...]:
    terms = []
    while not scanner.is_at_end:
        scanner.skip_blanks()
        terms.append(_order_term(scanner))
        if not scanner.is_at_end:
            scanner.require(",")
            if scanner.is_at_end:
                raise scanner.failure("field name")
    return tuple(terms)


def _order_term(scanner: Scanner) -> Order:
    field = scanner.field()
    relation = None
    if not field.steps and scanner.take("("):
        relation, field = field.name, scanner.field()
        scanner.require(")")
    descending, nulls_first = False, None
    if scanner.peek(".asc") or scanner.peek(".desc"):
        descending = not scanner.take(".asc") and scanner.take(".desc")
    if scanner.peek(".nulls"):
        began = scanner.place
        scanner.take(".")
        word = scanner.word()
        if word not in ("nullsfirst", "nullslast"):
            scanner.place = began
            raise scanner.failure('"nullsfirst" or "nullslast"')
        nulls_first = word == "nullsfirst"
    if not (scanner.is_at_end or scanner.peek(",")):
        raise scanner.failure('".asc", ".desc", ".nullsfirst", ".nullslast" or ","')
    return Order(field=field, relation=relation, descending=descending, nulls_first=nulls_first)


# What is selected


def _items(scanner: Scanner, depth: int = 0) -> tuple[Item, ...]:
    scanner.require_shallow(depth)
    items: list[Item] = []
    scanner.skip_blanks()
    if scanner.is_at_end or scanner.peek(")"):
        return ()
    while True:
        scanner.skip_blanks()
        items.append(_item(scanner, depth))
        scanner.skip_blanks()
        if not scanner.take(","):
            return tuple(items)


def _item(scanner: Scanner, depth: int) -> Item:
    if scanner.take("*"):
        return Star()
    if scanner.take("..."):
        return _embed(scanner, depth, *_aliased(scanner), spread=True)
    alias, name = _aliased(scanner)
    if name == "count" and scanner.take("()"):
        return Column(
            field=None,
            alias=alias,
            aggregate=Aggregate.COUNT,
            aggregate_cast=_cast(scanner),
        )
    if scanner.peek("(") or scanner.peek("!"):
        return _embed(scanner, depth, alias, name)
    field = Field(name, scanner.steps())
    cast = _cast(scanner)
    aggregate = _aggregate(scanner)
    return Column(
        field=field,
        alias=alias,
        cast=cast,
        aggregate=aggregate,
        aggregate_cast=None if aggregate is None else _cast(scanner),
    )


def _aliased(scanner: Scanner) -> tuple[str | None, str]:
    name = scanner.name('"*", field name or relation')
    if scanner.peek(":") and not scanner.peek("::"):
        scanner.take(":")
        return name, scanner.name("field name or relation")
    return None, name


def _cast(scanner: Scanner) -> str | None:
    return scanner.name("the name of a type") if scanner.take("::") else None


def _aggregate(scanner: Scanner) -> Aggregate | None:
    if not scanner.peek("."):
        return None
    began = scanner.place
    scanner.take(".")
    word = scanner.word()
    if word in set(Aggregate) and scanner.take("()"):
        return Aggregate(word)
    scanner.place = began
    raise scanner.failure(" or ".join(f'".{each}()"' for each in Aggregate))


def _embed(
    scanner: Scanner, depth: int, alias: str | None, relation: str, *, spread: bool = False
) -> Embed:
    hint, join = None, None
    while scanner.take("!"):
        word = scanner.name('"inner", "left", a column or a relation')
        if word in set(Join):
            join = Join(word)
        elif hint is None:
            hint = word
        else:
            raise scanner.failure("one hint only")
    scanner.require("(")
    items = _items(scanner, depth + 1)
    scanner.require(")")
    return Embed(relation=relation, items=items, alias=alias, hint=hint, join=join, spread=spread)
