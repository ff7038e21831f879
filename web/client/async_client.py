"""The client of a served store for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from datetime import datetime
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.web.client import calls
from quantum_forge.web.client.attempts import (
    AGAIN,
    LINES,
    REFUSED,
    TRIES,
    Lines,
    ServerSentEvents,
    checked,
    event_query,
    headers_of,
    httpx_library,
    pause_before,
    place_header,
    trust_in,
)
from quantum_forge.web.client.calls import Call, Filters, Reply, Row
from quantum_forge.web.client.client import reason
from quantum_forge.web.client.errors import RemoteError, RemoteUnreachable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _method(
    call: Callable[_Arguments, Call[_Result]],
) -> "Callable[Concatenate[AsyncClient, _Arguments], Coroutine[Any, Any, _Result]]":
    """A method that sends a call."""

    @wraps(call)
    async def method(
        self: "AsyncClient", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        return await self.send(call(*args, **kwargs))

    return method


class AsyncClient:
    """A store that somebody serves, for asyncio; `quantum_forge.connect_async` makes it.

    Its methods are those of `Client`, to be awaited or iterated over with `async for`.

    A request is sent again, after a pause, when the server is away or busy; what is recorded has a
    key of its own, by which the server knows a repetition.

    Args:
        url: of the server.
        key: an API key or a token.
        timeout: for each answer, in s.
        tries: times that a request is sent at most.
        ca: file of the certificate authorities to trust instead of those of the system.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        timeout: float = 60.0,
        tries: int = TRIES,
        ca: Path | None = None,
    ) -> None:
        self.url = url
        self._tries = tries
        self._httpx = httpx_library()
        self._http = self._httpx.AsyncClient(
            base_url=url, headers=headers_of(key), timeout=timeout, verify=trust_in(ca)
        )

    get = _method(calls.get)
    count = _method(calls.count)
    insert = _method(calls.insert)
    insert_many = _method(calls.insert_many)
    update = _method(calls.update)
    delete = _method(calls.delete)
    search = _method(calls.search)
    substructure = _method(calls.substructure)
    similar = _method(calls.similar)
    rpc = _method(calls.rpc)
    append = _method(calls.append)

    async def send(self, call: Call[_Result]) -> _Result:
        """Send a call until there is an answer, and return what it says.

        Raises:
            RemoteError: when the server refuses.
            RemoteUnreachable: when there was no answer after all tries.
        """
        attempt = 0
        while True:
            attempt += 1
            headers = None
            try:
                response = await self._http.request(
                    call.method,
                    call.path,
                    params=call.query,
                    headers=call.headers,
                    content=call.body,
                )
            except self._httpx.TransportError as error:
                if attempt >= self._tries or not call.may_repeat:
                    raise RemoteUnreachable(self.url, reason(error)) from error
            else:
                headers = response.headers
                again = AGAIN if call.may_repeat else REFUSED
                if response.status_code not in again or attempt >= self._tries:
                    reply = Reply(response.status_code, headers, response.content)
                    return call.read(checked(reply))
            await asyncio.sleep(pause_before(attempt, headers))

    async def rows(
        self,
        table: str,
        *,
        select: str | Sequence[str] | None = None,
        filters: Filters | None = None,
        order_by: str | Sequence[str] | None = None,
        as_of: datetime | str | int | None = None,
    ) -> AsyncGenerator[Row, None]:
        """Read any number of rows, one after the other, in bounded memory.

        Args:
            table: its name.
            select: see `get`; so are the others.
            filters: see `get`.
            order_by: see `get`.
            as_of: see `get`.

        Raises:
            RemoteUnreachable: when the connection breaks; rows that were returned are complete.
        """
        call = calls.get(table, select=select, filters=filters, order_by=order_by, as_of=as_of)
        lines = Lines()
        try:
            async with self._http.stream(
                call.method, call.path, params=call.query, headers=LINES
            ) as response:
                if response.status_code >= 400:
                    body = await response.aread()
                    checked(Reply(response.status_code, response.headers, body))
                async for part in response.aiter_bytes():
                    for line in lines.take(part):
                        yield msgspec.json.decode(line)
        except self._httpx.TransportError as error:
            raise RemoteUnreachable(self.url, reason(error)) from error

    async def pages(
        self,
        table: str,
        *,
        size: int = 1000,
        select: str | Sequence[str] | None = None,
        filters: Filters | None = None,
        order_by: str | Sequence[str] | None = None,
        as_of: datetime | str | int | None = None,
    ) -> AsyncGenerator[list[Row], None]:
        """Read any number of rows in pages, of one moment: none comes twice, none is left out.

        Args:
            table: its name.
            size: rows of a page; the last one may have fewer.
            select: see `get`; so are the others.
            filters: see `get`.
            order_by: see `get`.
            as_of: see `get`.
        """
        rows = self.rows(table, select=select, filters=filters, order_by=order_by, as_of=as_of)
        page: list[Row] = []
        async for row in rows:
            page.append(row)
            if len(page) == size:
                yield page
                page = []
        if page:
            yield page

    async def events(
        self,
        *,
        after: int | None = None,
        types: Sequence[str] = (),
        entity_id: UUID | None = None,
    ) -> AsyncGenerator[RecordedEvent, None]:
        """Follow the log for ever, skipping none: a broken connection is made anew.

        Args:
            after: the position after which to begin; without it, what is recorded from now on.
            types: of events; all unless given.
            entity_id: of which entity; all unless given.

        Raises:
            RemoteError: when the server refuses.
        """
        stream = ServerSentEvents(after)
        attempt = 0
        while True:
            lines = Lines()
            headers = None
            try:
                async with self._http.stream(
                    "GET",
                    "/events",
                    params=event_query(types, entity_id),
                    headers=place_header(stream.position),
                ) as response:
                    headers = response.headers
                    if response.status_code >= 400:
                        checked(Reply(response.status_code, headers, await response.aread()))
                    async for part in response.aiter_bytes():
                        attempt = 0
                        for event in stream.read(lines.take(part)):
                            yield event
            except self._httpx.TransportError:
                pass
            except RemoteError as error:
                if error.status not in AGAIN:
                    raise
            attempt += 1
            await asyncio.sleep(pause_before(attempt, headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
