"""Compiler of requests that read: from the tables of a request to its statements."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSON

from quantum_forge.projections.history.as_of import rows_at
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request import limits
from quantum_forge.web.rest.request.query import Column, Embed, Join, Order, Star
from quantum_forge.web.rest.statements.branches import Branch, not_embedded
from quantum_forge.web.rest.statements.conditions import cast_type, clauses, value_of
from quantum_forge.web.rest.statements.joined import Joined, Source, aliased
from quantum_forge.web.rest.statements.keyset import Sorted, behind, place_of
from quantum_forge.web.rest.statements.outputs import Output, document_of, groups_of, own_key
from quantum_forge.web.rest.statements.statements import Statements, cut_to, every
from quantum_forge.web.rest.statements.tables import Readable, readable


class Compiler:
    """Makes the statements of requests.

    Args:
        position: of the log, whose rows are read; None: the tables as they are.
        aggregates: whether functions over groups of rows are allowed.
        tenant_id: whose rows are read, where row-level security does not restrict them.
        current: tables that hold the rows of the position, so that the log need not be read.
    """

    def __init__(
        self,
        *,
        position: int | None = None,
        aggregates: bool = True,
        tenant_id: UUID | None = None,
        current: Collection[str] = (),
    ) -> None:
        self._position = position
        self._aggregates = aggregates
        self._tenant_id = tenant_id
        self._current = frozenset(current)
        self._sources = 0

    def compile(
        self,
        root: Branch,
        *,
        limit: int | None,
        offset: int,
        stripped: bool = False,
        after: str | None = None,
    ) -> Statements:
        """Return the statements of a request.

        Args:
            root: its tables.
            limit: rows at most; None for all.
            offset: rows that are passed over.
            stripped: without keys whose value is null.
            after: the place behind which rows begin; "" for the first one; None for pages that do
                not tell of places.

        Raises:
            RestError: for what the tables do not have, or a request may not ask.
        """
        source = self._source(root.table, embedded=False)
        conditions = list(self._conditions(root, source))
        matched = select(literal(1, Integer()).label("one")).select_from(source).where(*conditions)
        is_cut = limit is not None or offset > 0 or after is not None
        outputs: Callable[[], Sequence[Output]]
        if root.items == (Star(),) and root.table.is_whole:
            base = select().select_from(source).where(*conditions)
            order = self._order(root, source, Joined(source), is_cut=is_cut)
            document: ColumnElement[Any] = func.row_to_json(source.table_valued(), type_=JSON())
            outputs = partial(every, root.table, source)
        else:
            found, joined = self._outputs(root, source)
            base = select().select_from(joined.source).where(*conditions)
            if (groups := groups_of(found)) is not None:
                base = base.group_by(*groups)
                matched = base.add_columns(func.count())
            order = self._order(root, source, joined, is_cut=is_cut)
            document = document_of(found)
            outputs = partial(list, found)
        if stripped:
            document = func.json_strip_nulls(document)
        place = None
        if after is not None:
            if _is_grouped(root) or not root.table.key:
                raise RestError(
                    400, "PGRST127", "after needs rows that have a key", hint="Use offset instead."
                )
            place = place_of(order)
            base = base.where(behind(order, after)) if after else base
        cut = cut_to(base.order_by(*(each.clause for each in order)), limit, offset)
        return Statements(cut, matched, document, outputs, place)

    def _source(self, table: Readable, *, embedded: bool) -> Source:
        """What stands for a table: itself, or a fold of the log up to the position."""
        self._sources += 1
        limits.require(self._sources, limits.SOURCES, "tables, counted once per condition on them")
        name = f"t{self._sources}"
        if self._position is None or table.name in self._current:
            return aliased(table.table, name)
        if table.projection is not None:
            past = rows_at(table.projection, self._position)
        elif "event_type" in table.columns:
            past = select(*table.table.columns).where(
                table.table.c.id <= literal(self._position, BigInteger())
            )
        else:
            raise RestError(
                400,
                "PGRST127",
                f"as_of is not available for '{table.name}', which is not kept by the log",
                hint="Leave as_of out.",
            )
        if self._tenant_id is not None:
            given = past.subquery()
            past = select(given).where(given.c.tenant_id == literal(self._tenant_id, Uuid()))
        if not embedded:
            return past.subquery(name)
        # Once for all rows of the parent: a fold per row of theirs would read the log each time.
        return past.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")

    # What is selected

    def _outputs(self, branch: Branch, source: Source) -> tuple[list[Output], Joined]:
        joined = Joined(source)
        children = iter(branch.children)
        outputs: list[Output] = []
        for item in branch.items:
            match item:
                case Star():
                    outputs += every(branch.table, source)
                case Column():
                    outputs.append(self._column(branch, source, item))
                case Embed():
                    outputs += self._embedded(branch, next(children), source, joined)
        return outputs, joined

    def _column(self, branch: Branch, source: Source, item: Column) -> Output:
        if item.aggregate is not None and not self._aggregates:
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
        value = None
        if item.field is not None:
            value = value_of(branch.table, source, item.field)
            if item.cast is not None:
                value = cast(value, cast_type(item.cast))
        return Output(
            key=item.alias or own_key(item),
            value=value,
            aggregate=item.aggregate,
            aggregate_cast=item.aggregate_cast,
        )

    def _embedded(
        self, parent: Branch, child: Branch, source: Source, joined: Joined
    ) -> Iterator[Output]:
        """The outputs that an embedded relation adds to those of its parent."""
        embed = child.embed
        assert embed is not None
        sorting = [
            term for term in parent.level.order if parent.child(term.relation or "") is child
        ]
        if child.is_named_only and not sorting:
            return
        inner = self._source(child.table, embedded=True)
        outputs, below = self._outputs(child, inner)
        conditions = [*self._related(child, inner, source), *self._conditions(child, inner)]
        base = select().select_from(below.source).where(*conditions)
        if child.is_to_one:
            yield from self._one(child, base, outputs, sorting, inner, source, joined)
        else:
            yield from self._many(child, base, outputs, inner, source, joined, below)

    def _one(
        self,
        child: Branch,
        base: Select[Any],
        outputs: list[Output],
        sorting: Sequence[Order],
        inner: Source,
        source: Source,
        joined: Joined,
    ) -> Iterator[Output]:
        assert child.embed is not None
        values = {
            f"c{place}": output.value
            for place, output in enumerate(outputs)
            if child.embed.spread and output.value is not None
        }
        sorted_by = {}
        for place, term in enumerate(sorting):
            value = value_of(child.table, inner, term.field)
            # What the parent is grouped by, if it is: the same column, not another of its value.
            same = (name for name, spread in values.items() if spread is value)
            sorted_by[term] = name = next(same, f"o{place}")
            values[name] = value
        labels = [value.label(name) for name, value in values.items()]
        if not (child.embed.spread or child.is_named_only):
            groups = groups_of(outputs)
            base = base if groups is None else base.group_by(*groups)
            labels.append(document_of(outputs).label("document"))
        lateral = joined.add(base.add_columns(*labels), source)
        joined.sorting |= {term: lateral.c[name] for term, name in sorted_by.items()}
        if child.embed.spread:
            # What aggregates a spread relation has count for the groups of the parent.
            for place, output in enumerate(outputs):
                yield Output(
                    key=output.key,
                    value=None if output.value is None else lateral.c[f"c{place}"],
                    aggregate=output.aggregate,
                    aggregate_cast=output.aggregate_cast,
                )
        elif not child.is_named_only:
            yield Output(key=child.embed.name, value=lateral.c.document)

    def _many(
        self,
        child: Branch,
        base: Select[Any],
        outputs: list[Output],
        inner: Source,
        source: Source,
        joined: Joined,
        below: Joined,
    ) -> Iterator[Output]:
        assert child.embed is not None
        if child.is_named_only:
            return
        groups = groups_of(outputs)
        base = base if groups is None else base.group_by(*groups)
        order = self._order(child, inner, below, is_cut=groups is None)
        cut = cut_to(
            base.order_by(*(each.clause for each in order)), child.level.limit, child.level.offset
        )
        if child.embed.spread:
            keys = [output.key for output in outputs]
            values = [each.expression.label(f"c{place}") for place, each in enumerate(outputs)]
        else:
            keys = [child.embed.name]
            values = [document_of(outputs).label("c0")]
        rows = cut.add_columns(*values).correlate(source).subquery("rows")
        gathered = [func.json_agg(rows.c[value.name]).label(value.name) for value in values]
        lateral = joined.add(select(*gathered), source)
        for key, value in zip(keys, values, strict=True):
            array = func.coalesce(lateral.c[value.name], cast(literal("[]", Text()), JSON()))
            yield Output(key=key, value=cast(array, JSON()))

    # What it is restricted to

    def _conditions(self, branch: Branch, source: Source) -> Iterator[ColumnElement[bool]]:
        def related(name: str) -> ColumnElement[bool] | None:
            child = branch.child(name)
            return None if child is None else self._exists(child, source)

        for filter_ in branch.level.filters:
            yield from clauses(branch.table, source, filter_, related)
        for child in branch.children:
            if child.embed is not None and child.embed.join is Join.INNER:
                yield self._exists(child, source)

    def _exists(self, child: Branch, source: Source) -> ColumnElement[bool]:
        """Whether a row of a source has related rows that the request lets through."""
        inner = self._source(child.table, embedded=True)
        conditions = [*self._related(child, inner, source), *self._conditions(child, inner)]
        found = select(literal(1, Integer())).select_from(inner).where(*conditions)
        return exists(found.correlate(source))

    def _related(
        self, child: Branch, inner: Source, source: Source
    ) -> Iterator[ColumnElement[bool]]:
        """The conditions that relate rows of an embedded table to one of its parent."""
        relation = child.relation
        assert relation is not None
        yield inner.c.tenant_id == source.c.tenant_id
        here, there = relation.on
        if (junction := relation.junction) is None:
            yield inner.c[there] == source.c[here]
            return
        pairs = self._source(readable(junction.table), embedded=True)
        paired = select(literal(1, Integer())).where(
            pairs.c.tenant_id == source.c.tenant_id,
            pairs.c[junction.to_source] == source.c[here],
            pairs.c[junction.to_target] == inner.c[there],
        )
        yield exists(paired.correlate(source, inner))

    def _order(
        self, branch: Branch, source: Source, joined: Joined, *, is_cut: bool
    ) -> list[Sorted]:
        """The order asked for, and by the key where equal rows would else come in any order."""
        terms = [self._term(branch, source, joined, term) for term in branch.level.order]
        if is_cut and not _is_grouped(branch):
            named = {
                term.field.name
                for term in branch.level.order
                if term.relation is None and not term.field.steps
            }
            terms += [
                Sorted(value=source.c[name], required=True)
                for name in branch.table.key
                if name not in named
            ]
        return terms

    def _term(self, branch: Branch, source: Source, joined: Joined, term: Order) -> Sorted:
        required = False
        if term.relation is None:
            value = value_of(branch.table, source, term.field)
            required = not (term.field.steps or branch.table.table.c[term.field.name].nullable)
        else:
            child = branch.child(term.relation)
            if child is None:
                raise not_embedded(term.relation)
            if not child.is_to_one:
                raise RestError(
                    400,
                    "PGRST118",
                    f"A related order on '{term.relation}' is not possible",
                    details=f"'{branch.table.name}' and '{term.relation}' do not form a many-to-one"
                    " or one-to-one relationship",
                )
            value = joined.sorting[term]
        return Sorted(
            value=value,
            descending=term.descending,
            nulls_first=term.nulls_first,
            required=required,
        )


def _is_grouped(branch: Branch) -> bool:
    return any(isinstance(item, Column) and item.aggregate for item in branch.items)
