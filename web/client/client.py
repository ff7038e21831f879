"""The client of a served store."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.segment_drain import Drained
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
from quantum_forge.web.client.errors import RemoteError, RemoteUnreachable
from quantum_forge.web.client.store import ServedStore

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _method(
    call: Callable[_Arguments, Call[_Result]],
) -> "Callable[Concatenate[Client, _Arguments], _Result]":
    """A method that sends a call."""

    @wraps(call)
    def method(self: "Client", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return self.send(call(*args, **kwargs))

    return method


class Client:
    """A store that somebody serves; `quantum_forge.connect` makes it. Threads may share it.

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
        self._key = key
        self._ca = ca
        self._timeout = timeout
        self._tries = tries
        self._httpx = httpx_library()
        self._http = self._httpx.Client(
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

    def send(self, call: Call[_Result]) -> _Result:
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
                response = self._http.request(
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
            time.sleep(pause_before(attempt, headers))

    def rows(
        self,
        table: str,
        *,
        select: str | Sequence[str] | None = None,
        filters: Filters | None = None,
        order_by: str | Sequence[str] | None = None,
        as_of: datetime | str | int | None = None,
    ) -> Iterator[Row]:
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
            with self._http.stream(
                call.method, call.path, params=call.query, headers=LINES
            ) as response:
                if response.status_code >= 400:
                    body = response.read()
                    checked(Reply(response.status_code, response.headers, body))
                for part in response.iter_bytes():
                    yield from map(msgspec.json.decode, lines.take(part))
        except self._httpx.TransportError as error:
            raise RemoteUnreachable(self.url, reason(error)) from error

    def pages(
        self,
        table: str,
        *,
        size: int = 1000,
        select: str | Sequence[str] | None = None,
        filters: Filters | None = None,
        order_by: str | Sequence[str] | None = None,
        as_of: datetime | str | int | None = None,
    ) -> Iterator[list[Row]]:
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
        while page := list(islice(rows, size)):
            yield page

    def events(
        self,
        *,
        after: int | None = None,
        types: Sequence[str] = (),
        entity_id: UUID | None = None,
    ) -> Iterator[RecordedEvent]:
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
                with self._http.stream(
                    "GET",
                    "/events",
                    params=event_query(types, entity_id),
                    headers=place_header(stream.position),
                ) as response:
                    headers = response.headers
                    if response.status_code >= 400:
                        checked(Reply(response.status_code, headers, response.read()))
                    for part in response.iter_bytes():
                        attempt = 0
                        yield from stream.read(lines.take(part))
            except self._httpx.TransportError:
                pass
            except RemoteError as error:
                if error.status not in AGAIN:
                    raise
            attempt += 1
            time.sleep(pause_before(attempt, headers))

    def recorder(
        self,
        *,
        spool: Path | None = None,
        on_away: Callable[[str], None] = lambda _: None,
        on_back: Callable[[Drained], None] = lambda _: None,
    ) -> Recorder:
        """Return a recorder of the user whose key this is; close it, or use it in a `with`.

            with client.recorder() as recorder:
                with recorder.calculation(molecule_id, method="GFN2-xTB") as calculation:
                    calculation.complete(compute())

        Args:
            spool: directory for what the server does not take now; None: an error says so.
            on_away: called once when an outage begins, with its reason.
            on_back: called once when it has ended and everything that was spooled is in the log.

        Raises:
            KeyRefused: when the key may not record.
        """
        store = ServedStore(
            self.url, self._key, ca=self._ca, timeout=self._timeout, tries=self._tries
        )
        try:
            caller = store.caller()
        except BaseException:
            store.close()
            raise
        author = Author(tenant_id=caller.tenant_id, user_id=caller.user_id)
        return Recorder(store, author, spool=spool, on_away=on_away, on_back=on_back)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def reason(error: Exception) -> str:
    """Return why there was no answer, in a few words."""
    return str(error) or type(error).__name__
