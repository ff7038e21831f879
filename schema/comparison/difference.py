"""Difference between two catalogs, as the SQL that makes one database into the other."""

from collections.abc import Callable, Iterator, Sequence, Set

import msgspec

from quantum_forge.schema.comparison.catalog import KINDS, Catalog, Column, Object
from quantum_forge.schema.sql import sql_of

CHECKPOINTS = "projection_checkpoints"


class Difference(msgspec.Struct, frozen=True):
    """The SQL that makes one database into another; no statements where they are equal.

    changes: one line for each object that is made, changed or dropped, for a person.
    emptied: read models that are made anew, so that projectors fill them from the log again.
    """

    statements: tuple[str, ...]
    changes: tuple[str, ...]
    emptied: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The statements as a script."""
        # Comments of the columns of a table read best as one block.
        blocks: list[list[str]] = []
        for statement in self.statements:
            word = statement.split(" ", 1)[0]
            follows = bool(blocks) and blocks[-1][-1].split(" ", 1)[0] == word
            if follows and word in ("COMMENT", "GRANT"):
                blocks[-1].append(statement)
            else:
                blocks.append([statement])
        return "\n\n".join("\n".join(f"{each};" for each in block) for block in blocks) + "\n"


def difference(old: Catalog, new: Catalog) -> Difference:
    """Return what makes a database with the catalog `old` into one with the catalog `new`.

    A read model whose columns cannot be changed in place, because rows that are there have no
    value for them or because they stand in another order, is dropped and made anew. The statements
    run in one transaction.
    """
    return _Comparison(old, new).difference()


class _Comparison:
    def __init__(self, old: Catalog, new: Catalog) -> None:
        self.old = old
        self.new = new
        self.anew = {
            f"table {name}"
            for name in old.columns.keys() & new.columns.keys()
            if _is_read_model(old.columns[name]) and not _fits(old.columns[name], new.columns[name])
        }
        self.old_columns = _by_key(old)
        self.new_columns = _by_key(new)
        self.gone = self._gone()

    def difference(self) -> Difference:
        statements = [*self._drops(), *self._additions()]
        if any(each.startswith("CREATE OR REPLACE FUNCTION") for each in statements):
            # A function may name what is made after it.
            statements.insert(0, "SET LOCAL check_function_bodies = off")
        if new_roles := self._new_roles():
            statements.insert(0, sql_of("roles").rstrip().removesuffix(";"))
        return Difference(tuple(statements), tuple(self._changes(new_roles)), self._emptied())

    def _gone(self) -> set[str]:
        """Keys of what must be dropped: it is not in `new`, or cannot be changed into that."""
        gone = {
            key
            for key, each in self.old.objects.items()
            if key in self.anew or not _replaces(self.new.objects.get(key), each)
        }
        touched = {f"table {column.table}" for column in self._columns_touched()}
        gone |= {
            key
            for key, each in self.old.objects.items()
            if each.kind == "view" and (gone | touched) & self.old.needs.get(key, frozenset())
        }
        # A generated column cannot take another formula on every version of PostgreSQL.
        gone |= {
            key
            for key, column in self.old_columns.items()
            if key not in self.new_columns or self.new_columns[key].formula != column.formula
        }
        return gone

    def _columns_touched(self) -> list[Column]:
        return [
            column
            for key, column in self.old_columns.items()
            if self.new_columns.get(key) != column
        ]

    def _goes_along(self, owner: str | None) -> bool:
        """Whether something goes when what it belongs to is dropped."""
        if owner is None:
            return False
        if owner in self.gone:
            return True
        if owner in self.old_columns:
            return f"table {self.old_columns[owner].table}" in self.gone
        if (above := self.old.objects.get(owner)) is not None:
            return self._goes_along(above.owner)
        return False

    def _drops(self) -> Iterator[str]:
        dropped = [
            each
            for key, each in self.old.objects.items()
            if key in self.gone and not self._goes_along(each.owner)
        ]
        dropped.reverse()
        dropped.sort(key=lambda each: (each.kind != "ownership", -_rank(each.kind)))
        columns = [
            column
            for key, column in self.old_columns.items()
            if key in self.gone and f"table {column.table}" not in self.gone
        ]
        for each in _before(dropped, self._needing):
            if columns and _rank(each.kind) < _rank("column"):
                yield from (_drop_column(column) for column in columns)
                columns = []
            yield each.dropped
            if each.kind == "table" and _is_read_model(self.old.columns.get(each.name, ())):
                yield f"DELETE FROM {CHECKPOINTS} WHERE projection = '{each.name}'"
        yield from (_drop_column(column) for column in columns)

    def _needing(self, key: str) -> set[str]:
        """What must be dropped before this."""
        return {other for other, needs in self.old.needs.items() if key in needs}

    def _additions(self) -> Iterator[str]:
        made = [each for each in self.new.objects.values() if self._is_made(each)]
        tables = {each.key for each in made if each.kind == "table"}
        inline = {each.key for each in made if each.kind == "constraint" and each.owner in tables}
        made = [each for each in made if each.key not in inline]
        made.sort(key=lambda each: _rank(each.kind))
        rooms = [each for each in made if _rank(each.kind) < _rank("column")]
        first = _before(rooms, lambda key: self.new.needs.get(key, frozenset()), made)
        for each in first:
            yield self._table(each) if each.kind == "table" else each.made
        yield from self._column_changes(tables)
        for each in made:
            if each not in first:
                yield each.made

    def _is_made(self, each: Object) -> bool:
        if self.old.objects.get(each.key) != each:
            return True
        return each.key in self.gone or self._goes_along(each.owner)

    def _table(self, table: Object) -> str:
        parts = [column.declared for column in self.new.columns.get(table.name, ())]
        prefix = f"ALTER TABLE {table.name} ADD "
        parts += [
            each.made.removeprefix(prefix)
            for each in self.new.objects.values()
            if each.kind == "constraint" and each.owner == table.key
        ]
        head = f"CREATE TABLE {table.name}"
        return head + " (\n    " + ",\n    ".join(parts) + "\n)" + table.made.removeprefix(head)

    def _column_changes(self, tables: set[str]) -> Iterator[str]:
        for key, column in self.new_columns.items():
            if f"table {column.table}" in tables:
                continue
            before = self.old_columns.get(key)
            if before is None or key in self.gone:
                yield f"ALTER TABLE {column.table} ADD COLUMN {column.declared}"
                continue
            alter = f"ALTER TABLE {column.table} ALTER COLUMN {column.name}"
            if before.type != column.type:
                yield f"{alter} TYPE {column.type} USING {column.name}::{column.type}"
            if before.default != column.default:
                yield f"{alter} " + (
                    "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
                )
            if before.required != column.required:
                yield f"{alter} {'SET' if column.required else 'DROP'} NOT NULL"

    def _new_roles(self) -> set[str]:
        """Roles that are granted something, and were granted nothing before."""
        old, new = (
            {each.signature for each in catalog.objects.values() if each.kind == "grant"}
            for catalog in (self.old, self.new)
        )
        return new - old - {""}

    def _changes(self, roles: set[str]) -> Iterator[str]:
        yield from (f"new role {role}" for role in sorted(roles))
        for word, catalog, other in (("drop", self.old, self.new), ("new", self.new, self.old)):
            there = other.objects.keys() | _by_key(other).keys()
            lost = (catalog.objects.keys() | _by_key(catalog).keys()) - there
            yield from (
                f"{word} {key}" for key in _by_key(catalog) if key in lost - _along(catalog, lost)
            )
            yield from (
                f"{word} {key}" for key in catalog.objects if key in lost - _along(catalog, lost)
            )
        for old, new in (
            (self.old_columns, self.new_columns),
            (self.old.objects, self.new.objects),
        ):
            yield from (f"change {key}" for key in new if old.get(key, new[key]) != new[key])

    def _emptied(self) -> tuple[str, ...]:
        return tuple(sorted(key.removeprefix("table ") for key in self.anew))


def _replaces(new: Object | None, old: Object) -> bool:
    """Whether the SQL that makes `new` also makes it where `old` is."""
    if new is None:
        return False
    if new.made == old.made:
        return True
    return new.kind == "comment" or (new.kind == "function" and new.signature == old.signature)


def _fits(old: Sequence[Column], new: Sequence[Column]) -> bool:
    """Whether rows of a table stay as they are while its columns change from `old` to `new`."""
    before = {column.name: column for column in old}
    kept = [column for column in old if column.name in {each.name for each in new}]
    if [column.name for column in new[: len(kept)]] != [column.name for column in kept]:
        return False
    for column in new:
        was = before.get(column.name)
        if was is None and column.required and column.default is None:
            return False
        if was is not None and (was.type, was.formula) != (column.type, column.formula):
            return False
        if was is not None and column.required and not was.required:
            return False
    return True


def _before(
    objects: Sequence[Object],
    needed: Callable[[str], Set[str]],
    among: Sequence[Object] | None = None,
) -> list[Object]:
    """The objects in their order, but each after those of `among` that it needs."""
    known = {each.key: each for each in among or objects}
    ordered: dict[str, Object] = {}

    def take(each: Object, above: frozenset[str]) -> None:
        for key in sorted(needed(each.key) & known.keys() - above):
            take(known[key], above | {key})
        ordered.setdefault(each.key, each)

    for each in objects:
        if each.key not in ordered:
            take(each, frozenset({each.key}))
    return list(ordered.values())


def _drop_column(column: Column) -> str:
    return f"ALTER TABLE {column.table} DROP COLUMN {column.name}"


def _is_read_model(columns: Sequence[Column]) -> bool:
    return any(column.name == "last_position" for column in columns)


def _along(catalog: Catalog, keys: set[str]) -> set[str]:
    """Those of the keys that belong to another one of them."""
    columns = _by_key(catalog)
    owners = {key: f"table {column.table}" for key, column in columns.items()}
    owners |= {key: each.owner for key, each in catalog.objects.items() if each.owner is not None}
    return {key for key in keys if owners.get(key) in keys}


def _by_key(catalog: Catalog) -> dict[str, Column]:
    return {column.key: column for columns in catalog.columns.values() for column in columns}


def _rank(kind: str) -> int:
    return KINDS.index(kind)
