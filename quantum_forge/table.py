"""Queries of read models: which rows, in which order, and as what they are returned."""

import copy
import html
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import inf
from sys import float_info
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    FromClause,
    Integer,
    Numeric,
    Select,
    Text,
    Uuid,
    any_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from quantum_forge.drawing import svg_of
from quantum_forge.eventstore.base.errors import MissingLibrary, QuantumForgeError
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.language.table import METADATA, is_secret
from quantum_forge.schema.tables.views import VIEWS

Connect = Callable[[], AbstractContextManager[Connection]]
"""Lends a connection for the length of a `with`."""

ROWS_SHOWN = 50
"""Rows that a notebook shows of a result."""


class WrongQuery(QuantumForgeError):
    """A query names a column that is not there, or a value that the column cannot hold."""

    exit_status = 2


class Row(msgspec.Struct, frozen=True):
    """One row: an attribute for each column, in the units of the catalogue."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def _repr_html_(self) -> str:
        return Rows([self])._repr_html_()


class Rows(list[Row]):
    """Rows of a query; a notebook shows them as a table, with molecules drawn where RDKit is."""

    def _repr_html_(self) -> str:
        if not self:
            return "<p>no rows</p>"
        # What is null in every row, or the same for all, would only take the room of the rest.
        names = [
            name
            for name in self[0].__struct_fields__
            if name != "tenant_id" and any(getattr(row, name) is not None for row in self)
        ]
        lines = ["<table>", _html_line("th", map(html.escape, names))]
        for row in self[:ROWS_SHOWN]:
            cells = (_html_value(name, getattr(row, name)) for name in names)
            lines.append(_html_line("td", cells))
        lines.append("</table>")
        if len(self) > ROWS_SHOWN:
            lines.append(f"<p>{ROWS_SHOWN} of {len(self)} rows</p>")
        return "\n".join(lines)


class Query:
    """Rows of a read model or of a SELECT; `Forge.table` makes it.

    Immutable: `where`, `order` and `limit` return another query. Nothing is read before `rows`,
    `first`, `count`, `arrow`, `pandas`, `polars` or an iteration asks for it; each is one SELECT.
    Only rows of the forge's tenant are returned, except by a SELECT of one's own.

        forge.table("calculations").where(gap=(1, 3), status="completed").order("-energy").limit(10)
    """

    def __init__(self, connect: Connect, name: str, statement: Select[Any]) -> None:
        self._connect = connect
        self._name = name
        self._statement = statement
        self._source: FromClause | None = None
        self._most: int | None = None
        self._fields = tuple(_fields(statement))

    @classmethod
    def _over(cls, connect: Connect, name: str, source: FromClause, tenant_id: UUID) -> Self:
        """The rows of one tenant in a table, or in what has its columns, but for its secrets."""
        declared = VIEWS.get(name)
        if declared is None:
            declared = METADATA.tables[name]
        shown = (source.c[each.name] for each in declared.c if not is_secret(each))
        query = cls(connect, name, select(*shown).where(source.c.tenant_id == tenant_id))
        query._source = source
        return query

    def where(self, *conditions: ColumnElement[bool], **values: object) -> Self:
        """Restrict the query to the rows for which all of this holds.

        Args:
            conditions: of SQLAlchemy Core, over the tables of `Forge.tables`.
            values: by column. A value must be equal; a tuple is a range with both ends included,
                where None leaves an end open; a list or set has the values allowed; None is null.

        Raises:
            WrongQuery: for a column that is not there, or a value that it cannot hold.
        """
        source = self._columns()
        wanted = [_condition(_column(source, name), value) for name, value in values.items()]
        return self._with(self._based(source).where(*conditions, *wanted), source)

    def order(self, *columns: str) -> Self:
        """Sort by columns; "-energy" sorts the largest first; null comes last either way.

        Replaces an earlier order. Text is sorted by code point.

        Raises:
            WrongQuery: for a column that is not there.
        """
        source = self._columns()
        by = [_ordered(source, name) for name in columns]
        return self._with(self._based(source).order_by(None).order_by(*by), source)

    def limit(self, rows: int) -> Self:
        """Return at most so many rows, from the beginning of the order; a limit is never raised.

        Raises:
            WrongQuery: for a negative number.
        """
        if not isinstance(rows, int) or isinstance(rows, bool) or not 0 <= rows < 2**63:
            raise WrongQuery(f"a limit must be a number of rows, at least 0, not {rows!r}")
        most = rows if self._most is None else min(rows, self._most)
        statement = self._statement
        if self._most is None and statement._limit_clause is not None:
            statement = select(statement.subquery("query"))
        query = self._with(statement.limit(most), self._source)
        query._most = most
        return query

    def select(self) -> Select[Any]:
        """The query as a SQLAlchemy Core SELECT, to add whatever Core can express."""
        return self._statement

    def rows(self) -> Rows:
        """Read the rows, each a frozen Struct with an attribute per column.

        Raises:
            DatabaseUnavailable: when the database is away.
        """
        with self._connect() as connection:
            result = connection.execute(self._statement)
            make = _row_class(self._name, self._fields)
            return Rows([make(*row) for row in result])

    def first(self) -> Row | None:
        """Read the first row in the order of the query; None when there is no row."""
        found = self.limit(1).rows()
        return found[0] if found else None

    def count(self) -> int:
        """Count the rows in the database."""
        counted = select(func.count()).select_from(self._statement.order_by(None).subquery())
        with self._connect() as connection:
            return connection.execute(counted).scalar_one()

    def __iter__(self) -> Iterator[Row]:
        """Read all rows, then iterate over them."""
        return iter(self.rows())

    def arrow(self) -> Any:
        """Read the rows as a `pyarrow.Table`.

        Ids are text, JSON is encoded as text, times are microseconds in UTC.
        """
        import pyarrow as pa

        with self._connect() as connection:
            rows = connection.execute(self._statement).all()
        columns = list(self._statement.selected_columns)
        arrays = [
            pa.array(_arrow_values(column.type, (row[index] for row in rows)), arrow_type)
            for index, column in enumerate(columns)
            for arrow_type in (_arrow_type(column.type),)
        ]
        return pa.table(arrays, names=[name for name, _ in self._fields])

    def pandas(self) -> Any:
        """Read the rows as a `pandas.DataFrame`; types as in `arrow`.

        Raises:
            MissingLibrary: when pandas is not installed.
        """
        try:
            import pandas  # noqa: F401  # to_pandas needs it
        except ModuleNotFoundError as error:
            raise MissingLibrary("pandas()", "pandas", "readers") from error
        return self.arrow().to_pandas()

    def polars(self) -> Any:
        """Read the rows as a `polars.DataFrame`; types as in `arrow`.

        Raises:
            MissingLibrary: when polars is not installed.
        """
        try:
            import polars
        except ModuleNotFoundError as error:
            raise MissingLibrary("polars()", "polars", "readers") from error
        return polars.from_arrow(self.arrow())

    def __repr__(self) -> str:
        return f"<query of {self._name}>"

    def _repr_html_(self) -> str:
        return self.limit(ROWS_SHOWN).rows()._repr_html_()

    def _columns(self) -> FromClause:
        """What conditions and orders are about; a SELECT of somebody's own is a subquery then."""
        return self._statement.subquery("query") if self._source is None else self._source

    def _based(self, source: FromClause) -> Select[Any]:
        if self._most is not None:
            raise WrongQuery("call limit last: where and order come before it")
        return select(source) if self._source is None else self._statement

    def _with(self, statement: Select[Any], source: FromClause | None) -> Self:
        query = copy.copy(self)
        query._statement = statement
        query._source = source
        return query

    def _using(self, connect: Connect) -> Self:
        """The same query over other connections."""
        query = copy.copy(self)
        query._connect = connect
        return query


def _column(source: FromClause, name: str) -> ColumnElement[Any]:
    try:
        return source.c[name]
    except KeyError:
        every = f"the columns are {', '.join(source.c.keys())}"
        hint = suggestion(name, source.c.keys(), otherwise=every)
        raise WrongQuery(f"no column {name!r}; {hint}") from None


def _ordered(source: FromClause, written: str) -> ColumnElement[Any]:
    column = _column(source, written.removeprefix("-"))
    if isinstance(column.type, Text):
        column = column.collate("C")
    return (column.desc() if written.startswith("-") else column.asc()).nulls_last()


def _condition(column: ColumnElement[Any], wanted: object) -> ColumnElement[bool]:
    if wanted is None:
        return column.is_(None)
    if isinstance(wanted, list | set | frozenset):
        # As one array: a statement takes 65,535 parameters.
        values = [_value(column, value) for value in wanted if value is not None]
        allowed = column == any_(literal(values, ARRAY(column.type)))
        return or_(allowed, column.is_(None)) if None in wanted else allowed
    if not isinstance(wanted, tuple):
        equal: ColumnElement[bool] = column == _literal(column, wanted)
        return equal
    match wanted:
        case (None, None):
            pass
        case (low, None):
            return column >= _literal(column, low)
        case (None, high):
            return column <= _literal(column, high)
        case (low, high):
            return column.between(_literal(column, low), _literal(column, high))
    raise WrongQuery(
        f"{_name(column)}: {wanted!r} is not a range; write (low, high), with None for an open end"
    )


def _literal(column: ColumnElement[Any], value: object) -> ColumnElement[Any]:
    return literal(_value(column, value), column.type)


_ACCEPTED: Mapping[type[TypeEngine[Any]], tuple[type[Any] | tuple[type[Any], ...], str]] = {
    Boolean: (bool, "True or False"),
    Uuid: (UUID, "an id"),
    BigInteger: (int, "a whole number"),
    Integer: (int, "a whole number"),
    Float: ((int, float), "a number"),
    Numeric: ((int, float, Decimal), "a number"),
    DateTime: (datetime, "a datetime with a time zone"),
    Text: (str, "text"),
}
"""What a condition may compare with columns of a type: the more special type first."""

_MOST: Mapping[type[TypeEngine[Any]], float] = {
    BigInteger: 2**63 - 1,
    Integer: 2**31 - 1,
    Float: float_info.max,
    Numeric: float_info.max,
}
"""The largest number of a type; what is beyond it the server would refuse."""


def _value(column: ColumnElement[Any], value: object) -> object:
    """The value, if a column can hold it.

    Raises:
        WrongQuery
    """
    for kind, (python, holds) in _ACCEPTED.items():
        if not isinstance(column.type, kind):
            continue
        if kind is Uuid and isinstance(value, str):
            with suppress(ValueError):
                value = UUID(value)
        fits = isinstance(value, python) and isinstance(value, bool) == (kind is Boolean)
        if fits and isinstance(value, datetime):
            fits = value.tzinfo is not None
        if fits and isinstance(value, str):
            fits = _is_storable(value)
        if not fits:
            raise WrongQuery(f"{_name(column)} holds {holds}, not {value!r}")
        most = _MOST.get(kind, inf)
        if isinstance(value, int | float | Decimal) and not -most <= value <= most:
            raise WrongQuery(f"{_name(column)} holds no number as large as {str(value)[:40]}")
        return value
    raise WrongQuery(f"{_name(column)} holds JSON: give a condition of SQLAlchemy Core instead")


def _is_storable(value: str) -> bool:
    """Whether PostgreSQL takes a text: neither NUL nor a lone surrogate."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _name(column: ColumnElement[Any]) -> str:
    return str(getattr(column, "name", column))


# Rows


def _fields(statement: Select[Any]) -> Iterator[tuple[str, Any]]:
    """The name of each selected column, as an attribute may be called, and its Python type."""
    seen: set[str] = set()
    for column in statement.selected_columns:
        name = re.sub(r"\W", "_", _name(column))
        name = name if name.isidentifier() and not name.startswith("_") else f"c_{name}"
        if name in seen:
            raise WrongQuery(f"two columns are called {name!r}: give one of them a label")
        seen.add(name)
        yield name, _python_type(column.type)


@lru_cache(maxsize=256)
def _row_class(name: str, fields: tuple[tuple[str, Any], ...]) -> type[Row]:
    title = "".join(part.title() for part in re.split(r"\W|_", name)) + "Row"
    made = msgspec.defstruct(title, list(fields), bases=(Row,), frozen=True, module=__name__)
    assert issubclass(made, Row)
    return made


def _python_type(type_: TypeEngine[Any]) -> Any:
    try:
        python = type_.python_type
    except NotImplementedError:
        return Any
    return Any if python is dict else python | None


def _arrow_type(type_: TypeEngine[Any]) -> Any:
    import pyarrow as pa

    match type_:
        case Boolean():
            return pa.bool_()
        case BigInteger():
            return pa.int64()
        case Integer():
            return pa.int32()
        case Float():
            return pa.float64()
        case DateTime():
            return pa.timestamp("us", "UTC")
        case Uuid() | Text():
            return pa.string()
        case Numeric():
            return None
        case _:
            return pa.string()


def _arrow_values(type_: TypeEngine[Any], values: Iterator[Any]) -> list[Any]:
    match type_:
        case Boolean() | Integer() | Float() | DateTime() | Text() | Numeric():
            return list(values)
        case Uuid():
            return [None if value is None else str(value) for value in values]
        case _:
            encode = msgspec.json.encode
            return [None if value is None else encode(value).decode() for value in values]


# Notebooks


def _html_line(tag: str, cells: Any) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _html_value(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "smiles" and isinstance(value, str):
        return f"{svg_of(value)}{html.escape(value)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return html.escape(str(value))
