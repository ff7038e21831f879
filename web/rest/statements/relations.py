"""Relations between tables that can be read, found from what is declared of their columns.

A column refers to the table of a type of entity when it has its name (`molecule_id`, or
`active_molecule_id`), or when a lifecycle says which entity an event needs there. The rows of both
must belong to the same tenant.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct
from sqlalchemy import Table, Uuid

from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import Envelope
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.query import Embed
from quantum_forge.web.rest.statements.tables import SCHEMA

_TENANT = "tenant_id"
_ID = "id"
_ENDING = "_id"
_ALIKE = 0.75


class Cardinality(StrEnum):
    """How many rows are related to how many, seen from the table whose rows embed others."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


class Junction(Struct, frozen=True):
    """A table whose key is a pair of references, and its columns that are these references."""

    table: str
    to_source: str
    to_target: str


class Relation(Struct, frozen=True, kw_only=True):
    """How rows of one table, the source, are related to those of another, the target.

    name: as a foreign key would be called; that of the junction, if there is one.
    referring: the table and the column that refers.
    on: the columns of source and target that are equal; of the ids, where there is a junction.
    """

    name: str
    source: str
    target: str
    cardinality: Cardinality
    on: tuple[str, str]
    referring: tuple[str, str] | None = None
    junction: Junction | None = None

    @property
    def is_to_one(self) -> bool:
        """Whether a row of the source has at most one of the target."""
        return self.cardinality in (Cardinality.ONE_TO_ONE, Cardinality.MANY_TO_ONE)

    @property
    def described(self) -> dict[str, str]:
        """The relation as an error describes it."""
        if self.junction is not None:
            junction = self.junction
            told = (
                f"{junction.table} using {junction.table}({junction.to_source})"
                f" and {junction.table}({junction.to_target})"
            )
        else:
            told = f"{self.name} using {self.source}({self.on[0]}) and {self.target}({self.on[1]})"
        return {
            "cardinality": self.cardinality,
            "embedding": f"{self.source} with {self.target}",
            "relationship": told,
        }

    def is_meant_by(self, relation: str) -> bool:
        """Whether a request that names a table, a column or a relation means this one."""
        if relation in (self.target, self.name):
            return True
        return self.referring == (self.source, relation)

    def is_hinted(self, hint: str) -> bool:
        """Whether a hint chooses this one: its name, the column that refers, or its junction."""
        return hint == self.name or (self.referring is not None and hint == self.referring[1])


def relation_of(source: str, embed: Embed) -> Relation:
    """Return the relation that a request means by what it embeds.

    Args:
        source: the table whose rows embed others.
        embed: what is embedded.

    Raises:
        RestError: PGRST200 when there is none, PGRST201 when there are several.
    """
    every = relations_from(source)
    named = [each for each in every if each.is_meant_by(embed.relation)]
    found = [each for each in named if embed.hint is None or each.is_hinted(embed.hint)]
    if len(found) == 1:
        return found[0]
    raise _several(source, embed, found) if found else _none(source, embed, every)


def relations_from(source: str) -> list[Relation]:
    """Return the relations whose source is a table."""
    return [each for each in _relations(tuple(PROJECTIONS.values())) if each.source == source]


def _several(source: str, embed: Embed, found: Sequence[Relation]) -> RestError:
    choices = ", ".join(f"'{embed.relation}!{each.name}'" for each in found)
    return RestError(
        300,
        "PGRST201",
        "Could not embed because more than one relationship was found for"
        f" '{source}' and '{embed.relation}'",
        details=[each.described for each in found],
        hint=f"Try changing '{embed.relation}' to one of the following: {choices}. Find the desired"
        " relationship in the 'details' key.",
    )


def _none(source: str, embed: Embed, every: Iterable[Relation]) -> RestError:
    targets = list(dict.fromkeys(each.target for each in every))
    near = difflib.get_close_matches(embed.relation, targets, n=1, cutoff=_ALIKE)
    if near and near[0] != embed.relation:
        hint = f"Perhaps you meant '{near[0]}' instead of '{embed.relation}'."
    elif targets:
        hint = f"Related to '{source}' are: {', '.join(targets)}."
    else:
        hint = f"No table is related to '{source}'."
    using = "" if embed.hint is None else f" using the hint '{embed.hint}'"
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{source}' and '{embed.relation}' in the schema"
        " cache",
        details=f"Searched for a foreign key relationship between '{source}' and"
        f" '{embed.relation}'{using} in the schema '{SCHEMA}', but no matches were found.",
        hint=hint,
    )


@lru_cache(maxsize=4)
def _relations(projections: tuple[Projection, ...]) -> tuple[Relation, ...]:
    """Every relation, from both sides."""
    tables = {name: projection for projection in projections for name in _own_entity(projection)}
    references = [
        (table, column, target.table)
        for table, projection in _referring(projections)
        for column, target in _references(table, projection, tables)
        if table is not target.table
    ]
    return (*_direct(references), *_through_junctions(references))


def _referring(projections: Iterable[Projection]) -> Iterator[tuple[Table, Projection | None]]:
    for projection in projections:
        yield projection.table, projection
    yield event_logs, None


def _own_entity(projection: Projection) -> Iterator[str]:
    """The type of entity of which the table has one row each, under its id."""
    column = projection.table.c.get(_ID)
    if list(projection.key) == [_ID] and column is not None and isinstance(column.type, Uuid):
        values = projection.key[_ID]
        yield from {
            cls.entity_type
            for name, cls in projection.events.items()
            if name in projection.opens and values.get(name) == Envelope("entity_id")
        }


def _references(
    table: Table, projection: Projection | None, tables: dict[str, Projection]
) -> Iterator[tuple[str, Projection]]:
    """The columns of a table that refer to another, with what fills that one."""
    needed = {} if projection is None else dict(_needed(projection))
    for column in table.columns:
        name = column.name
        if not name.endswith(_ENDING) or not isinstance(column.type, Uuid):
            continue
        words = name.removesuffix(_ENDING).split("_")
        endings = ["_".join(words[start:]) for start in range(len(words))]
        kinds = [needed[name]] if name in needed else endings
        for kind in kinds:
            if kind in tables:
                yield name, tables[kind]
                break


def _needed(projection: Projection) -> Iterator[tuple[str, str]]:
    """The fields of its events that name an entity which must be there, and of which type."""
    for name, cls in projection.events.items():
        lifecycle = LIFECYCLES.get(cls.entity_type)
        if lifecycle is not None and name in lifecycle.rules:
            for field, (kind, _) in lifecycle.rules[name].needs.items():
                yield field, kind


def _direct(references: Iterable[tuple[Table, str, Table]]) -> Iterator[Relation]:
    for table, column, target in references:
        one = [each.name for each in table.primary_key.columns] == [_TENANT, column]
        forth = Cardinality.ONE_TO_ONE if one else Cardinality.MANY_TO_ONE
        back = Cardinality.ONE_TO_ONE if one else Cardinality.ONE_TO_MANY
        name = f"{table.name}_{column}_fkey"
        for source, other, cardinality, on in (
            (table, target, forth, (column, _ID)),
            (target, table, back, (_ID, column)),
        ):
            yield Relation(
                name=name,
                source=str(source.name),
                target=str(other.name),
                cardinality=cardinality,
                on=on,
                referring=(str(table.name), column),
            )


def _through_junctions(references: Sequence[tuple[Table, str, Table]]) -> Iterator[Relation]:
    """The relations of tables that the key of a third pairs, so that no pair comes twice."""
    for table, column, source in references:
        for other, second, target in references:
            keys = [each.name for each in table.primary_key.columns]
            pairs = table is other and column != second and source is not target
            if pairs and sorted(keys) == sorted([_TENANT, column, second]):
                yield Relation(
                    name=str(table.name),
                    source=str(source.name),
                    target=str(target.name),
                    cardinality=Cardinality.MANY_TO_MANY,
                    on=(_ID, _ID),
                    junction=Junction(str(table.name), column, second),
                )
