"""The tables of a request as a tree: the one in its path, and those that it embeds below it."""

from msgspec import Struct

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.query import Embed, Item, Level, Path, Query
from quantum_forge.web.rest.statements.relations import Relation, relation_of
from quantum_forge.web.rest.statements.tables import Readable, readable


class Branch(Struct, frozen=True, kw_only=True):
    """A table of a request, what is selected of it, and what it is restricted to.

    embed, relation: how its rows belong to those of its parent; None for the table of the request.
    children: one per embedded relation among the items, in their order.
    """

    table: Readable
    items: tuple[Item, ...]
    level: Level
    children: "tuple[Branch, ...]" = ()
    embed: Embed | None = None
    relation: Relation | None = None

    @property
    def is_to_one(self) -> bool:
        """Whether a row of the parent has at most one row here."""
        return self.relation is not None and self.relation.is_to_one

    @property
    def is_named_only(self) -> bool:
        """Whether it is embedded only to be filtered: its value is not in the reply."""
        return not self.items

    @property
    def tables(self) -> frozenset[str]:
        """The names of the table and of all that are embedded below it."""
        return frozenset({self.table.name}).union(*(child.tables for child in self.children))

    def child(self, name: str) -> "Branch | None":
        """Return the embedded relation that filters and orders call so."""
        found = _index(self.items, name)
        return None if found is None else self.children[found]


def branches(table: Readable, query: Query) -> Branch:
    """Return the tables of a request.

    Raises:
        RestError: PGRST200 or PGRST201 for a relation that is not there, or not the only one;
            PGRST108 for a filter, an order or a limit of what is not embedded.
    """
    levels: dict[tuple[int, ...], Level] = {}
    for path, level in query.levels.items():
        place = _place(query.select, path)
        levels[place] = _joined(levels[place], level) if place in levels else level
    return _branch(table, query.select, levels, ())


def _branch(
    table: Readable,
    items: tuple[Item, ...],
    levels: dict[tuple[int, ...], Level],
    place: tuple[int, ...],
    embed: Embed | None = None,
    relation: Relation | None = None,
) -> Branch:
    children = []
    for index, inner in enumerate(_embeds(items)):
        to = relation_of(table.name, inner)
        below = (*place, index)
        children.append(_branch(readable(to.target), inner.items, levels, below, inner, to))
    return Branch(
        table=table,
        items=items,
        level=levels.get(place, Level()),
        children=tuple(children),
        embed=embed,
        relation=relation,
    )


def _place(items: tuple[Item, ...], path: Path) -> tuple[int, ...]:
    """Where a path leads: the index of the embedded relation on each level."""
    place = []
    for name in path:
        if (index := _index(items, name)) is None:
            raise not_embedded(name)
        place.append(index)
        items = _embeds(items)[index].items
    return tuple(place)


def not_embedded(name: str) -> RestError:
    """Return the error for a relation that the request does not embed."""
    return RestError(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def _index(items: tuple[Item, ...], name: str) -> int | None:
    """Which of the embedded relations is called so: by its alias, or else by its own name."""
    embeds = _embeds(items)
    by_name = (index for index, embed in enumerate(embeds) if embed.name == name)
    by_relation = (index for index, embed in enumerate(embeds) if embed.relation == name)
    return next(by_name, next(by_relation, None))


def _embeds(items: tuple[Item, ...]) -> list[Embed]:
    return [item for item in items if isinstance(item, Embed)]


def _joined(level: Level, other: Level) -> Level:
    """What is said of one relation under its alias and under its own name."""
    return Level(
        filters=(*level.filters, *other.filters),
        order=other.order or level.order,
        limit=level.limit if other.limit is None else other.limit,
        offset=other.offset or level.offset,
    )
