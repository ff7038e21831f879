"""How much one query may ask for, so that none takes much time to compile or memory to keep."""

from collections.abc import Iterable

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.query import Column, Embed, Item, Star

QUERY_BYTES = 64_000  # uvicorn refuses an address of 64 kB without a reply of ours
COLUMNS = 200
EMBEDS = 20
WILDCARDS = EMBEDS + 1
EMBED_DEPTH = 8
FILTERS = 200
ORDER_TERMS = 32
JSON_STEPS = 32
ALL_JSON_STEPS = 256
LIST_VALUES = 10_000
SOURCES = 250
"""Tables in one statement: each embedded relation is there once, and again for each condition on
whether it has rows."""


def require(number: int, most: int, what: str) -> None:
    """Refuse more of something than a query may have.

    Args:
        number: that the query has.
        most: that it may have.
        what: the limit is called, in the plural.

    Raises:
        RestError: PGRST100, with the name of the limit.
    """
    if number > most:
        raise RestError(
            400,
            "PGRST100",
            f"the query has more than {most:,} {what}",
            hint="Ask for less, in several requests.",
        )


def require_few(items: Iterable[Item]) -> None:
    """Refuse a selection with too many columns or embedded relations, or too deep ones.

    Raises:
        RestError: PGRST100, with the name of the limit.
    """
    columns = wildcards = embeds = steps = 0
    level, depth = list(items), 0
    while level:
        named = [item for item in level if isinstance(item, Column)]
        columns += len(named)
        steps += sum(len(item.field.steps) for item in named if item.field is not None)
        wildcards += sum(isinstance(item, Star) for item in level)
        inner = [item for item in level if isinstance(item, Embed)]
        embeds += len(inner)
        depth += bool(inner)
        level = [item for embed in inner for item in embed.items]
    require(columns, COLUMNS, "selected columns")
    require(steps, ALL_JSON_STEPS, "steps into JSON that are selected")
    require(wildcards, WILDCARDS, "selections of all columns (*)")
    require(embeds, EMBEDS, "embedded relations")
    require(depth, EMBED_DEPTH, "levels of embedded relations")


def require_short(query: bytes) -> None:
    """Refuse a query string that is too long.

    Raises:
        RestError: 414.
    """
    if len(query) > QUERY_BYTES:
        raise RestError(
            414,
            "QF414",
            f"the query string is longer than {QUERY_BYTES:,} bytes",
            hint="Send it in several requests.",
        )
