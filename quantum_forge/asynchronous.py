"""The front door for asyncio: the names of `Forge`, each awaited.

No method is written twice. What needs one connection runs over an asynchronous one, through
`AsyncConnection.run_sync`; what owns an engine, or talks to the raw driver, runs in a thread.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial, update_wrapper
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Table

from quantum_forge.eventstore.base.envelope import NewEvent, RecordedEvent
from quantum_forge.eventstore.base.errors import MissingLibrary
from quantum_forge.eventstore.database.async_engine import open_async_engine
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.calculation import CalculationRecording
from quantum_forge.forge import Forge, ForgeClosed, settings_of
from quantum_forge.moments import Moment
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.table import Query, Row
from quantum_forge.training_sets import Datasets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

THREADS = 16
"""Calls of one forge that may run in threads at the same time; the others wait."""

EVENTS_AT_ONCE = 100
"""Events that one turn of the event loop's greenlet reads."""

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Wrapped = TypeVar("Wrapped")


class _Face:
    """An asynchronous object and the synchronous one that does its work."""

    def __init__(self, door: "AsyncForge", inner: Any) -> None:
        self._door = door
        self._inner = inner

    def _lent(self, connection: Connection) -> Any:
        """The inner object, working over one connection."""
        return self._inner._using(connection)


class _Awaited(Generic[Given, Answer]):
    """A method of the inner object, as a coroutine."""

    def __init__(self, method: Callable[Concatenate[Any, Given], Answer]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: _Face, owner: type) -> Callable[Given, Coroutine[Any, Any, Answer]]: ...

    def __get__(
        self, face: _Face | None, owner: type
    ) -> Self | Callable[Given, Coroutine[Any, Any, Answer]]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Coroutine[Any, Any, Answer]:
            return self._call(face, lambda inner: self._method(inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call

    async def _call(self, face: _Face, function: Callable[[Any], Answer]) -> Answer:
        raise NotImplementedError


class in_thread(_Awaited[Given, Answer]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object, in a thread."""

    async def _call(self, face: _Face, function: Callable[[Any], Answer]) -> Answer:
        return await face._door._in_thread(partial(function, face._inner))


class over_connection(_Awaited[Given, Answer]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object, over a connection of the asynchronous pool."""

    async def _call(self, face: _Face, function: Callable[[Any], Answer]) -> Answer:
        async with face._door.engine.connect() as connection:
            return await connection.run_sync(lambda lent: function(face._lent(lent)))


class made_into(Generic[Given, Wrapped]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object that waits for nothing, whose result gets a face."""

    def __init__(
        self,
        face: Callable[["AsyncForge", Any], Wrapped],
        method: Callable[Concatenate[Any, Given], Any],
    ) -> None:
        self._face = face
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: _Face, owner: type) -> Callable[Given, Wrapped]: ...

    def __get__(self, face: _Face | None, owner: type) -> Self | Callable[Given, Wrapped]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Wrapped:
            return self._face(face._door, self._method(face._inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call


class iterated(Generic[Given]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object that iterates over events, as an asynchronous iterator."""

    def __init__(self, method: Callable[Concatenate[Any, Given], Iterator[RecordedEvent]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self, face: _Face, owner: type
    ) -> Callable[Given, AsyncIterator[RecordedEvent]]: ...

    def __get__(
        self, face: _Face | None, owner: type
    ) -> Self | Callable[Given, AsyncIterator[RecordedEvent]]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> AsyncIterator[RecordedEvent]:
            if kwargs.get("follow"):
                stop = kwargs["stop"] = kwargs.get("stop") or threading.Event()
                assert isinstance(stop, threading.Event)
                return _followed(self._method(face._inner, *args, **kwargs), stop)
            # What is wrong with the arguments is raised now, not at the first event.
            self._method(face._inner, *args, **kwargs)
            return _read(face, lambda inner: self._method(inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call


async def _read(
    face: _Face, method: Callable[[Any], Iterator[RecordedEvent]]
) -> AsyncIterator[RecordedEvent]:
    async with face._door.engine.connect() as connection:
        events = await connection.run_sync(lambda lent: method(face._lent(lent)))
        while chunk := await connection.run_sync(lambda _: list(islice(events, EVENTS_AT_ONCE))):
            for event in chunk:
                yield event


async def _followed(
    events: Iterator[RecordedEvent], stop: threading.Event
) -> AsyncIterator[RecordedEvent]:
    """The events of an iterator that waits for them, in a thread of its own."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="qforge-follow")
    loop = asyncio.get_running_loop()
    try:
        while (event := await loop.run_in_executor(thread, next, events, None)) is not None:
            yield event
    finally:
        stop.set()
        close: Callable[[], object] = getattr(events, "close", lambda: None)
        thread.submit(close)
        thread.shutdown(wait=False)


class AsyncQuery(_Face):
    """A `Query` whose reading is awaited; `async for` iterates over its rows."""

    _inner: Query

    rows = over_connection(Query.rows)
    first = over_connection(Query.first)
    count = over_connection(Query.count)
    arrow = over_connection(Query.arrow)
    pandas = over_connection(Query.pandas)
    polars = over_connection(Query.polars)

    def where(self, *conditions: ColumnElement[bool], **values: object) -> "AsyncQuery":
        """See `Query.where`."""
        return AsyncQuery(self._door, self._inner.where(*conditions, **values))

    def order(self, *columns: str) -> "AsyncQuery":
        """See `Query.order`."""
        return AsyncQuery(self._door, self._inner.order(*columns))

    def limit(self, rows: int) -> "AsyncQuery":
        """See `Query.limit`."""
        return AsyncQuery(self._door, self._inner.limit(rows))

    def select(self) -> Select[Any]:
        """See `Query.select`."""
        return self._inner.select()

    async def __aiter__(self) -> AsyncIterator[Row]:
        """Read all rows, then iterate over them."""
        for row in await self.rows():
            yield row

    def __repr__(self) -> str:
        return repr(self._inner)

    def _lent(self, connection: Connection) -> Query:
        return self._inner._using(lambda: nullcontext(connection))


class AsyncCalculation(_Face):
    """An attempt at a calculation in an `async with`; see `Forge.calculation`."""

    _inner: CalculationRecording

    complete = in_thread(CalculationRecording.complete)
    fail = in_thread(CalculationRecording.fail)
    invalidate = in_thread(CalculationRecording.invalidate)
    lose = in_thread(CalculationRecording.lose)

    @property
    def id(self) -> UUID:
        """The calculation's id."""
        return self._inner.id

    async def __aenter__(self) -> Self:
        await self._door._in_thread(self._inner.__enter__)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A task that is cancelled still records how the attempt ended.
        ending = self._door._in_thread(partial(self._inner.__exit__, kind, error, trace))
        await asyncio.shield(ending)


class AsyncProjecting(_Face):
    """Read models that are kept up to date for the length of an `async with`."""

    _inner: BackgroundProjector

    stop = in_thread(BackgroundProjector.stop)

    async def __aenter__(self) -> Self:
        self._inner.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._door._in_thread(partial(self._inner.__exit__, kind, error, trace))


class AsyncDatasets(_Face):
    """Training sets; see `Datasets`."""

    _inner: Datasets

    export = in_thread(Datasets.export)
    reproduce = in_thread(Datasets.reproduce)
    diff = in_thread(Datasets.diff)


class AsyncActions(_Face):
    """What happens to users or keys; each method is that of `Users` or `ApiKeys`, awaited."""

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        action = getattr(self._inner, name)
        if name.startswith("_") or not callable(action):
            raise AttributeError(f"{type(self._inner).__name__} has no action {name!r}")

        def act(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
            return self._door._in_thread(partial(action, *args, **kwargs))

        return act


def open_async(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    home: Path | None = None,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
) -> "AsyncForge":
    """Return a forge for asyncio, which is opened by `async with`, or by `await forge.open()`.

    Needs the extra `async`: pip install 'quantum-forge[async]'.

    Args:
        url: of the database, instead of the settings'; see `quantum_forge.open`.
        settings: instead of those of the environment.
        home: the directory of the embedded server and of the spool, instead of the settings'.
        tenant_id: who owns what is read and recorded, instead of the settings'.
        user_id: who records, instead of the settings'.

    Raises:
        InvalidSetting: when a setting or `url` cannot be used; opening raises what
            `quantum_forge.open` does.
        MissingLibrary: when greenlet, which the extra brings, is not installed.
    """
    if find_spec("greenlet") is None:
        raise MissingLibrary("open_async()", "greenlet", "async")
    return AsyncForge(settings_of(url, settings, home, tenant_id, user_id))


class AsyncForge(_Face):
    """A `Forge` for asyncio: the same names and arguments, awaited; `open_async` makes it.

    Tasks of one event loop may share it. What is cancelled over a connection is rolled back; what
    runs in a thread goes on to its end, and nobody gets the answer.
    """

    record = in_thread(Forge.record)
    molecule = in_thread(Forge.molecule)
    calculation = made_into(AsyncCalculation, Forge.calculation)
    new = made_into(lambda _, event: cast(NewEvent, event), Forge.new)
    append = over_connection(Forge.append)
    load = in_thread(Forge.load)

    events = iterated(Forge.events)
    table = made_into(AsyncQuery, Forge.table)
    query = made_into(AsyncQuery, Forge.query)
    position = over_connection(Forge.position)
    diff = over_connection(Forge.diff)
    explain = over_connection(Forge.explain)

    catch_up = in_thread(Forge.catch_up)
    projecting = made_into(AsyncProjecting, Forge.projecting)
    wait_for = in_thread(Forge.wait_for)
    rebuild = in_thread(Forge.rebuild)
    verify = in_thread(Forge.verify)
    status = in_thread(Forge.status)
    doctor = in_thread(Forge.doctor)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.author = Author(tenant_id=settings.tenant_id, user_id=settings.user_id)
        self._door = self
        self._forge: Forge | None = None
        self._engine: AsyncEngine | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def open(self) -> Self:
        """Open the database, as `quantum_forge.open` does; `async with` calls it."""
        if self._forge is not None:
            return self
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="qforge-async")
        try:
            loop = asyncio.get_running_loop()
            forge = await loop.run_in_executor(threads, Forge, self.settings)
            try:
                self._engine = await open_async_engine(forge.engine.url, self.settings)
            except BaseException:
                await loop.run_in_executor(threads, forge.close)
                raise
        except BaseException:
            threads.shutdown(wait=False)
            raise
        announce_appends(self._engine.sync_engine, through=forge.engine)
        self._forge, self._threads = forge, threads
        return self

    async def close(self) -> None:
        """Close all connections when what runs in threads is done; a second call does nothing."""
        forge, self._forge = self._forge, None
        engine, self._engine = self._engine, None
        threads, self._threads = self._threads, None
        if engine is not None:
            await engine.dispose()
        if threads is not None and forge is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(threads, forge.close)
            await loop.run_in_executor(None, threads.shutdown)

    @property
    def is_closed(self) -> bool:
        """Whether it is not open: closed again, or not opened yet."""
        return self._forge is None

    @property
    def engine(self) -> "AsyncEngine":
        """The SQLAlchemy engine for asyncio, for what the forge does not offer."""
        if self._engine is None:
            raise ForgeClosed
        return self._engine

    @property
    def forge(self) -> Forge:
        """The same forge without asyncio, for threads; it is closed together with this one."""
        return self._inner

    @property
    def tables(self) -> Mapping[str, Table]:
        """See `Forge.tables`."""
        return self._inner.tables

    @property
    def datasets(self) -> AsyncDatasets:
        """See `Forge.datasets`."""
        return AsyncDatasets(self, self._inner.datasets)

    @property
    def users(self) -> AsyncActions:
        """See `Forge.users`."""
        return AsyncActions(self, self._inner.users)

    @property
    def keys(self) -> AsyncActions:
        """See `Forge.keys`."""
        return AsyncActions(self, self._inner.keys)

    @asynccontextmanager
    async def connect(self) -> "AsyncIterator[AsyncConnection]":
        """Lend a SQLAlchemy connection for the length of an `async with`; see `Forge.connect`."""
        async with self.engine.connect() as connection:
            yield connection

    async def as_of(self, table: str, moment: Moment) -> AsyncQuery:
        """See `Forge.as_of`."""
        async with self.engine.connect() as connection:
            past = await connection.run_sync(lambda lent: self._lent(lent).as_of(table, moment))
        return AsyncQuery(self, past)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<forge for asyncio of {self.settings!r}>"

    @property
    def _inner(self) -> Forge:
        if self._forge is None:
            raise ForgeClosed
        return self._forge

    async def _in_thread(self, function: Callable[[], Answer]) -> Answer:
        if self._threads is None:
            raise ForgeClosed
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)
