"""Parser of filters: a comparison, or a tree of comparisons."""

import re
from collections.abc import Callable, Iterator

from quantum_forge.web.rest.request import limits
from quantum_forge.web.rest.request.query import (
    Condition,
    Field,
    Filter,
    Quantifier,
    Tree,
)
from quantum_forge.web.rest.request.scanner import Scanner

PLAIN = frozenset({"eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"})
"""Operators that may compare with any or all values of an array."""
SINGLE = frozenset({"neq", "isdistinct", "cs", "cd", "ov", "sl", "sr", "nxl", "nxr", "adj"})
TEXT_SEARCH = frozenset({"fts", "plfts", "phfts", "wfts"})
IS_VALUES = ("null", "not_null", "true", "false", "unknown")

_OPERATORS = '"not" or operator (eq, gt, ...)'
_CONNECTIVE = re.compile(r"(not\.)?(and|or)\s*(?=\()")


def condition(scanner: Scanner, field: Field, *, nested: bool = False) -> Condition:
    """Read `[not.]operator.value`.

    nested: in a tree of conditions, where a value ends at a comma or a parenthesis.
    """
    negated = scanner.take("not.")
    began = scanner.place
    operator = scanner.word()
    if operator == "is":
        scanner.require(".")
        return Condition(
            field=field, operator=operator, value=_is_value(scanner, nested), negated=negated
        )
    if operator == "in":
        scanner.require(".")
        return Condition(field=field, operator=operator, value=_list(scanner), negated=negated)
    if operator not in PLAIN | SINGLE | TEXT_SEARCH:
        scanner.place = began
        raise scanner.failure(_OPERATORS)
    quantifier, language = None, None
    if operator in PLAIN and scanner.take("("):
        quantifier = _one_of(scanner, Quantifier)
        scanner.require(")")
    elif operator in TEXT_SEARCH and scanner.take("("):
        language = scanner.name("the name of a language")
        scanner.require(")")
    scanner.require(".")
    return Condition(
        field=field,
        operator=operator,
        value=_nested_value(scanner) if nested else scanner.rest(),
        negated=negated,
        quantifier=quantifier,
        language=language,
    )


def _one_of(scanner: Scanner, words: type[Quantifier]) -> Quantifier:
    began = scanner.place
    word = scanner.word()
    if word not in set(words):
        scanner.place = began
        raise scanner.failure(" or ".join(f'"{each}"' for each in words))
    return words(word)


def _is_value(scanner: Scanner, nested: bool) -> str:
    began = scanner.place
    value = (scanner.until(",)").rstrip() if nested else scanner.rest()).lower()
    if value not in IS_VALUES:
        scanner.place = began
        raise scanner.failure(f"isVal: ({', '.join(IS_VALUES)})")
    return value


def _list(scanner: Scanner) -> tuple[str, ...]:
    """Read `(v, …)`; `()` has no values."""
    scanner.require("(")
    scanner.skip_blanks()
    values: list[str] = []
    if scanner.take(")"):
        return ()
    while True:
        quoted = scanner.quoted_value()
        values.append(scanner.until(",)") if quoted is None else quoted)
        limits.require(len(values), limits.LIST_VALUES, "values in a list")
        if not scanner.take(","):
            break
    scanner.require(")")
    return tuple(values)


def _nested_value(scanner: Scanner) -> str:
    quoted = scanner.quoted_value()
    if quoted is not None:
        return quoted
    return _braces(scanner) or scanner.until(",)")


def _braces(scanner: Scanner) -> str | None:
    """Read an array or an object of JSON, in which commas and parentheses are not the tree's."""
    if not scanner.peek("{"):
        return None
    depth, is_quoted, place = 0, False, scanner.place
    while place < len(scanner.text):
        letter = scanner.text[place]
        if is_quoted and letter == "\\":
            place += 1
        elif letter == '"':
            is_quoted = not is_quoted
        elif not is_quoted:
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if depth == 0:
                return scanner.advance(place + 1)
        place += 1
    return None


def tree(disjoint: bool, negated: bool, depth: int = 0) -> Callable[[Scanner], Tree]:
    """Return what reads `(condition, …)`."""

    def read(scanner: Scanner) -> Tree:
        scanner.require_shallow(depth)
        scanner.require("(")
        parts: list[Filter] = []
        while True:
            scanner.skip_blanks()
            parts.append(_part(scanner, depth))
            limits.require(len(parts), limits.FILTERS, "filters")
            scanner.skip_blanks()
            if not scanner.take(","):
                break
        scanner.require(")")
        return Tree(disjoint=disjoint, parts=tuple(parts), negated=negated)

    return read


def _part(scanner: Scanner, depth: int) -> Filter:
    if found := _CONNECTIVE.match(scanner.text, scanner.place):
        scanner.advance(found.end())
        return tree(found[2] == "or", found[1] is not None, depth + 1)(scanner)
    field = scanner.field('field name, "and" or "or"')
    scanner.require(".")
    return condition(scanner, field, nested=True)


def conditions_of(filter_: Filter) -> Iterator[Condition]:
    """Return the comparisons of a filter."""
    if isinstance(filter_, Condition):
        yield filter_
        return
    for part in filter_.parts:
        yield from conditions_of(part)
