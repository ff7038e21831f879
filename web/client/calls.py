"""Calls: what each method of a client sends, and how it reads the reply; nothing is sent here.

So the client and its counterpart for asyncio have the same methods without twin code.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import msgspec

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.log.load import EncodedEvent
from quantum_forge.web.client.errors import RemoteError

Row = dict[str, Any]
"""A row: values by column, as JSON has them; ids and times are text."""

Filters = Mapping[str, object]
"""By column. A value must be equal; a tuple is a range with both ends included, where None leaves
an end open; a list or set has the values allowed; None is null."""

JSON = "application/json"
REPRESENTATION = {"Prefer": "return=representation"}

_Result = TypeVar("_Result")


class WrongCall(QuantumForgeError):
    """A call cannot be sent as it is given."""

    exit_status = 2


class Reply(msgspec.Struct, frozen=True):
    """What the server answered. headers: by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


ONCE = frozenset({"issue_key", "change_password"})
"""Actions that the server does not answer again: what they show or take is not kept."""


class Call(msgspec.Struct, Generic[_Result], frozen=True, kw_only=True):
    """A request, and how to read its reply.

    path: below the address of the server. query: names and values in their order. may_repeat:
    whether it may be sent again when nobody knows whether it arrived.
    """

    method: str
    path: str
    read: Callable[[Reply], _Result]
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    may_repeat: bool = True


def get(
    table: str,
    *,
    select: str | Sequence[str] | None = None,
    filters: Filters | None = None,
    order_by: str | Sequence[str] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    as_of: datetime | str | int | None = None,
) -> Call[list[Row]]:
    """Read rows of a table, view or the log.

        client.get("calculations", select="id,energy,molecules(smiles)",
                   filters={"gap": (1.0, 3.0)}, order_by="energy.asc", limit=10)

    Args:
        table: its name.
        select: columns, with related tables in parentheses; all columns unless given.
        filters: see `Filters`.
        order_by: columns, each as `name`, `name.asc` or `name.desc`.
        limit: rows at most; without it all, as far as the server allows.
        offset: rows left out at the beginning.
        as_of: a time, such as `2026-03-31`, or how long ago, such as `2h`, or a position of the
            log: the rows as they were then.

    Raises:
        RemoteError: when the server refuses, or has more rows than it returns at once and no
            `limit` was given: use `rows` or `pages` then.
    """
    query = _query(select=select, filters=filters, order_by=order_by, as_of=as_of)
    if limit is not None:
        query.append(("limit", str(limit)))
    if offset is not None:
        query.append(("offset", str(offset)))

    def read(reply: Reply) -> list[Row]:
        if reply.status == 206 and limit is None:
            raise RemoteError(
                206,
                "QF206",
                f"the server returns only a part of the rows of {table} at once",
                reply.headers.get("content-range"),
                "Give a limit, or read all of them with rows() or pages()",
            )
        return _rows(reply)

    return Call(method="GET", path=_table(table), query=query, read=read)


def count(table: str, *, filters: Filters | None = None) -> Call[int]:
    """Count the rows of a table.

    Args:
        table: its name.
        filters: see `Filters`.
    """

    def read(reply: Reply) -> int:
        return int(reply.headers["content-range"].rpartition("/")[2])

    headers = {"Prefer": "count=exact"}
    query = _query(filters=filters)
    return Call(method="HEAD", path=_table(table), query=query, headers=headers, read=read)


def insert(table: str, row: Mapping[str, Any]) -> Call[Row]:
    """Record a new row, as an event; returns it as it is in the log now.

    Args:
        table: its name.
        row: values by column.

    Raises:
        RemoteError: when the rules of the entity, or the caller's role, do not allow it.
    """

    def read(reply: Reply) -> Row:
        return _rows(reply)[0]

    return _recording("POST", table, row, read)


def insert_many(table: str, rows: Iterable[Mapping[str, Any]]) -> Call[list[Row]]:
    """Record new rows, all or none; returns them in their order.

    Args:
        table: its name.
        rows: each has the same columns.
    """
    return _recording("POST", table, list(rows), _rows)


def update(table: str, values: Mapping[str, Any], *, filters: Filters) -> Call[list[Row]]:
    """Record other values for all rows that the filters choose, all or none; returns the rows.

    Args:
        table: its name.
        values: by column.
        filters: see `Filters`; at least one.
    """
    return _recording("PATCH", table, values, _rows, query=_chosen(filters))


def delete(table: str, *, filters: Filters) -> Call[list[Row]]:
    """Record the end of all rows that the filters choose, all or none; returns what they were.

    Args:
        table: its name.
        filters: see `Filters`; at least one.
    """
    return _recording("DELETE", table, None, _rows, query=_chosen(filters))


def rpc(action: str, /, **arguments: Any) -> Call[Any]:
    """Call an action of the server, such as `register_user`; returns what it answers.

    Args:
        action: its name.
        arguments: by name.
    """

    def read(reply: Reply) -> Any:
        return msgspec.json.decode(reply.body) if reply.body else None

    return Call(
        method="POST",
        path=f"/rest/v1/rpc/{_named(action)}",
        headers={
            "Content-Type": JSON,
            **({} if action in ONCE else {"Idempotency-Key": str(uuid4())}),
        },
        may_repeat=action not in ONCE,
        body=_encoded(arguments),
        read=read,
    )


def search(words: str, *, limit: int = 10) -> Call[Row]:
    """Search for words, a SMILES, an InChIKey or an id; returns `groups` of findings.

    Args:
        words: what is searched for.
        limit: findings of each kind.
    """
    return _found("search", words=words, limit=limit)


def substructure(smarts: str, *, limit: int = 100) -> Call[list[Row]]:
    """Find the molecules that have a substructure, those of the shortest SMILES first.

    Args:
        smarts: the substructure, as c1ccccc1C(=O)[OX2H1].
        limit: hits at most.
    """
    return _found("substructure", smarts=smarts, limit=limit)


def similar(smiles: str, *, threshold: float = 0.5, limit: int = 100) -> Call[list[Row]]:
    """Find the molecules that are similar to another one, with their `similarity`.

    Args:
        smiles: of the molecule to compare with.
        threshold: the least similarity, above 0 and up to 1.
        limit: hits at most.
    """
    return _found("similar", smiles=smiles, threshold=threshold, limit=limit)


def append(events: Sequence[EncodedEvent | Mapping[str, Any]]) -> Call[Any]:
    """Append events of any number of streams, all or none; returns where they are in the log.

    Args:
        events: as `qforge events append` takes them; with an `event_id` each, the call may be
            repeated until it is known to have succeeded.
    """
    return rpc("append_events", events=list(events))


def _found(name: str, **arguments: object) -> Call[Any]:
    query = [(argument, str(value)) for argument, value in arguments.items()]
    return Call(
        method="GET",
        path=f"/rest/v1/rpc/{name}",
        query=query,
        read=lambda reply: msgspec.json.decode(reply.body),
    )


def _recording(
    method: str,
    table: str,
    body: object,
    read: Callable[[Reply], _Result],
    *,
    query: Sequence[tuple[str, str]] = (),
) -> Call[_Result]:
    # The key makes it safe to repeat: the server knows the events that it has recorded for it.
    return Call(
        method=method,
        path=_table(table),
        query=query,
        headers={"Content-Type": JSON, "Idempotency-Key": str(uuid4()), **REPRESENTATION},
        body=None if body is None else _encoded(body),
        read=read,
    )


def _query(
    *,
    select: str | Sequence[str] | None = None,
    filters: Filters | None = None,
    order_by: str | Sequence[str] | None = None,
    as_of: datetime | str | int | None = None,
) -> list[tuple[str, str]]:
    query = []
    if select is not None:
        query.append(("select", _joined(select)))
    for column, value in (filters or {}).items():
        query += [(column, condition) for condition in _conditions(column, value)]
    if order_by is not None:
        query.append(("order", _joined(order_by)))
    if as_of is not None:
        query.append(("as_of", _text(as_of)))
    return query


def _chosen(filters: Filters) -> list[tuple[str, str]]:
    if not filters:
        raise WrongCall(
            "update and delete need at least one filter, or they would be about every row; "
            'for every row give one that holds for all, such as filters={"id": (None, None)}'
        )
    return _query(filters=filters)


def _conditions(column: str, value: object) -> list[str]:
    match value:
        case None:
            return ["is.null"]
        case bool():
            return [f"is.{str(value).lower()}"]
        case (low, high) if isinstance(value, tuple):
            ends = (("gte", low), ("lte", high))
            found = [f"{name}.{_text(end)}" for name, end in ends if end is not None]
            return found or ["not.is.null"]
        case tuple():
            raise WrongCall(f"{column}: a range is a tuple of two values, not of {len(value)}")
        case list() | AbstractSet():
            return [f"in.({','.join(_quoted(_text(each)) for each in value)})"]
        case _:
            return [f"eq.{_text(value)}"]


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case datetime():
            if value.tzinfo is None:
                raise WrongCall(f"{value} has no time zone: say which one is meant")
            return value.isoformat()
        case int() | float() | UUID():
            return str(value)
        case _:
            raise WrongCall(f"a filter cannot have the value {value!r}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _joined(names: str | Sequence[str]) -> str:
    return names if isinstance(names, str) else ",".join(names)


def _table(table: str) -> str:
    return f"/rest/v1/{_named(table)}"


def _named(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise WrongCall(f"{name!r} is not the name of a table or action")
    return name


def _rows(reply: Reply) -> list[Row]:
    return msgspec.json.decode(reply.body, type=list[Row]) if reply.body else []


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        raise WrongCall(f"this cannot be sent as JSON: {error}") from None
