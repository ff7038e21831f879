"""Rows of a table by the log, so that a client finds what it has just written.

The tables may be behind the log. Rows that are known by their key are folds of its events; others
are read from the table when it has caught up, and folded from the whole log if it does not.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Executable, Result, exists, select

from quantum_forge.projections.project.checkpoint import fingerprint, read_checkpoints
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.rest.csv_body import cell, csv_body, is_text
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.media import Form, Media
from quantum_forge.web.rest.request.query import (
    Column,
    Condition,
    Field,
    Filter,
    Level,
    Order,
    Query,
    Tree,
)
from quantum_forge.web.rest.statements.branches import branches
from quantum_forge.web.rest.statements.compiled import OF_REQUESTS
from quantum_forge.web.rest.statements.compiler import Compiler
from quantum_forge.web.rest.statements.statements import Statements
from quantum_forge.web.rest.statements.table_state import table_names
from quantum_forge.web.rest.statements.tables import Readable

NOW = 2**63 - 1
"""A position that no event is beyond: everything that is committed."""

PATIENCE = 1.0
"""Seconds that a table has to catch up with the log, before the log is read instead."""

_PAUSE = 0.02

Key = Mapping[str, Any]
"""The values that identify a row, by column, without the tenant."""


class Represented(Struct, frozen=True, kw_only=True):
    """Rows as a reply has them."""

    count: int
    body: bytes


class Rows:
    """Reads rows of a tenant over a connection that sees them.

    Args:
        connection: in a transaction, READ COMMITTED.
        tenant_id: whose rows; conditions restrict every statement to them.
    """

    def __init__(self, connection: Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    def find(
        self, table: Readable, level: Level, names: Sequence[str], key: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the present rows that a request restricts a table to, as JSON has their values.

        Args:
            table: whose rows.
            level: the restrictions.
            names: of the columns that are wanted.
            key: of the table, without the tenant.
        """
        items = tuple(Column(field=Field(name)) for name in names)
        level = msgspec.structs.replace(level, filters=(*level.filters, self._own()))
        root = branches(table, Query(select=items, levels={(): level}))
        current = set() if names_keys(level, key) else self._awaited({table.name})
        compiler = Compiler(position=NOW, tenant_id=self._tenant_id, current=current)
        statements = compiler.compile(root, limit=level.limit, offset=level.offset)
        return [msgspec.json.decode(document) for document in self._documents(statements)]

    def represent(
        self, table: Readable, query: Query, keys: Sequence[Key], position: int, media: Media
    ) -> Represented:
        """Return the rows with these keys at a position, in the order in which they were written.

        Args:
            table: whose rows.
            query: what is selected of them, with embedded relations; its own filters do not count.
            keys: of the rows.
            position: of the log.
            media: how they are written.
        """
        level = query.level(())
        own = Level(
            filters=(self._own(), of_keys(keys)),
            order=level.order or (Order(field=Field("last_position")),),
        )
        return self._represented(table, query, own, position, media)

    def _represented(
        self, table: Readable, query: Query, own: Level, position: int, media: Media
    ) -> Represented:
        levels = {path: level for path, level in query.levels.items() if path}
        query = msgspec.structs.replace(query, levels={**levels, (): own})
        root = branches(table, query)
        names = table_names(root)
        if names is None:
            # This connection sees more of the log than whoever sent the request.
            raise RestError(403, "42501", "permission denied: only read models can be embedded")
        current = self._current({*names} - {table.name}, position)
        compiler = Compiler(position=position, tenant_id=self._tenant_id, current=current)
        statements = compiler.compile(root, limit=None, offset=0, stripped=media.stripped)
        if media.form is Form.CSV:
            return self._csv(statements)
        documents = self._documents(statements)
        if media.form is Form.LINES:
            body = "".join(f"{document}\n" for document in documents)
        elif media.form is Form.OBJECT and len(documents) == 1:
            body = documents[0]
        else:
            body = "[" + ",\n".join(documents) + "]"
        return Represented(count=len(documents), body=body.encode())

    def _documents(self, statements: Statements) -> list[str]:
        return list(self._executed(statements.documents).scalars())

    def _executed(self, query: Executable) -> Result[Any]:
        return self._connection.execute(query, execution_options=OF_REQUESTS)

    def _csv(self, statements: Statements) -> Represented:
        values = list(statements.columns.selected_columns)
        cells = statements.columns.with_only_columns(*(cell(value) for value in values))
        rows = self._executed(cells).all() if values else []
        texts = [is_text(value) for value in values]
        keys = [output.key for output in statements.outputs]
        return Represented(count=len(rows), body=csv_body(keys, texts, rows))

    def _own(self) -> Condition:
        return Condition(field=Field("tenant_id"), operator="eq", value=str(self._tenant_id))

    def _awaited(self, names: set[str]) -> set[str]:
        """The tables among these that hold everything, or come to within a short time."""
        until = time.monotonic() + PATIENCE
        while (current := self._current(names, NOW)) != names and time.monotonic() < until:
            time.sleep(_PAUSE)
        return current

    def _current(self, names: set[str], position: int) -> set[str]:
        """The tables among these that hold every event of the tenant up to a position."""
        checkpoints = read_checkpoints(self._connection) if names else {}
        current: set[str] = set()
        for name in names:
            projection, checkpoint = PROJECTIONS.get(name), checkpoints.get(name)
            if projection is None or checkpoint is None:
                continue
            if checkpoint.fingerprint == fingerprint(projection):
                newer = select(
                    exists().where(
                        event_logs.c.id > checkpoint.position,
                        event_logs.c.id <= position,
                        event_logs.c.tenant_id == self._tenant_id,
                        event_logs.c.event_type.in_(projection.reads),
                    )
                )
                if not self._connection.execute(newer).scalar_one():
                    current.add(name)
        return current


def of_keys(keys: Sequence[Key]) -> Filter:
    """Return the filter that lets through the rows with these keys."""
    if not keys:
        return Condition(field=Field("tenant_id"), operator="in", value=())
    if len(keys[0]) == 1:
        (name,) = keys[0]
        values = tuple(str(key[name]) for key in keys)
        return Condition(field=Field(name), operator="in", value=values)
    return Tree(
        disjoint=True,
        parts=tuple(
            Tree(
                disjoint=False,
                parts=tuple(
                    Condition(field=Field(name), operator="eq", value=str(value))
                    for name, value in key.items()
                ),
            )
            for key in keys
        ),
    )


def names_keys(level: Level, key: Sequence[str]) -> bool:
    """Whether a request names the keys of the rows, so that few events make them."""
    named = {
        filter_.field.name
        for filter_ in level.filters
        if isinstance(filter_, Condition)
        and not (filter_.negated or filter_.quantifier or filter_.field.steps)
        and filter_.operator in ("eq", "in")
    }
    return {*key} <= named


def is_only_keys(level: Level, key: Sequence[str]) -> bool:
    """Whether a request restricts a table by keys alone, which no event changes."""
    return names_keys(level, key) and all(
        isinstance(filter_, Condition) and filter_.field.name in key for filter_ in level.filters
    )
