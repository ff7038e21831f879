"""A request's query string, parsed: what is selected, filtered, sorted and cut."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

Path: TypeAlias = tuple[str, ...]
"""The names of embedded relations from the table of the request down; () is that table."""


class Aggregate(StrEnum):
    """A function over the rows of a group."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    COUNT = "count"


class Join(StrEnum):
    """Whether a row without related rows remains."""

    LEFT = "left"
    INNER = "inner"


class JsonStep(Struct, frozen=True):
    """One step into a JSON value: a key, or an index from 0; `as_text`: `->>` instead of `->`."""

    key: str | int
    as_text: bool


class Field(Struct, frozen=True):
    """A column, or a value inside a column of JSON."""

    name: str
    steps: tuple[JsonStep, ...] = ()


class Star(Struct, frozen=True):
    """Every column."""


class Column(Struct, frozen=True, kw_only=True):
    """A selected value; without a field, the count of rows.

    cast: the type of the field; aggregate_cast: that of the aggregate.
    """

    field: Field | None
    alias: str | None = None
    cast: str | None = None
    aggregate: Aggregate | None = None
    aggregate_cast: str | None = None


class Embed(Struct, frozen=True, kw_only=True):
    """Related rows, as a value of their own or, `spread`, among those of their parent.

    relation: a table, a column that refers to it, or a relation. hint: which one of several.
    """

    relation: str
    items: "tuple[Item, ...]"
    alias: str | None = None
    hint: str | None = None
    join: Join | None = None
    spread: bool = False

    @property
    def name(self) -> str:
        """The name under which filters and orders find it, and the key in its parent."""
        return self.alias or self.relation


Item: TypeAlias = Star | Column | Embed


class Quantifier(StrEnum):
    """Whether one value of an array must match, or each of them."""

    ANY = "any"
    ALL = "all"


class Condition(Struct, frozen=True, kw_only=True):
    """A comparison.

    operator: as it is written, such as `gte`. value: as it is written; of `in`, a tuple; of `is`,
    in lower case. language: of a text search.
    """

    field: Field
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False
    quantifier: Quantifier | None = None
    language: str | None = None


class Tree(Struct, frozen=True, kw_only=True):
    """Conditions of which all must hold, or `disjoint`, one."""

    disjoint: bool
    parts: "tuple[Condition | Tree, ...]"
    negated: bool = False


Filter: TypeAlias = Condition | Tree


class Order(Struct, frozen=True, kw_only=True):
    """A term of an order; `relation`: the field is one of an embedded relation.

    nulls_first: None, where PostgreSQL has them.
    """

    field: Field
    relation: str | None = None
    descending: bool = False
    nulls_first: bool | None = None


class Level(Struct, frozen=True, kw_only=True):
    """What one table of a request, the outer or an embedded one, is restricted to."""

    filters: tuple[Filter, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


class Query(Struct, frozen=True, kw_only=True):
    """A query string.

    levels: by the path of the embedded relation, () for the table itself.
    columns, on_conflict: of requests that write.
    as_of: the moment whose rows are asked for.
    after: the place behind which the page begins; "" for the first page of such.
    """

    select: tuple[Item, ...] = (Star(),)
    levels: Mapping[Path, Level] = {}
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    as_of: str | None = None
    after: str | None = None

    def level(self, path: Path) -> Level:
        """Return the restrictions of a table; none, where the request has none."""
        return self.levels.get(path, Level())
