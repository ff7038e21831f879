"""The front door for asyncio: the names of `Forge`, each awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Self,
    TypeVar,
    cast,
)
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Table

from quantum_forge.awaited import Face, in_thread, iterated, made_into, over_connection
from quantum_forge.door import ForgeClosed, settings_of
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.logins import Logins
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import MissingLibrary
from quantum_forge.eventstore.database.async_engine import open_async_engine
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.calculation import CalculationRecording
from quantum_forge.forge import Forge
from quantum_forge.moments import Moment
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.table import Query, Row
from quantum_forge.training_sets import Datasets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

THREADS = 16
"""Calls of one forge that may run in threads at the same time; the others wait."""

Answer = TypeVar("Answer")


class AsyncQuery(Face):
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


class AsyncCalculation(Face):
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


class AsyncProjecting(Face):
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


class AsyncDatasets(Face):
    """Training sets; see `Datasets`."""

    _inner: Datasets

    export = in_thread(Datasets.export)
    reproduce = in_thread(Datasets.reproduce)
    diff = in_thread(Datasets.diff)


class AsyncUsers(Face):
    """Accounts of the tenant; each method is that of `Users`, awaited."""

    _inner: Users

    change_role = in_thread(Users.change_role)
    change_tier = in_thread(Users.change_tier)
    deactivate = in_thread(Users.deactivate)
    reactivate = in_thread(Users.reactivate)
    prepare_two_factor = in_thread(Users.prepare_two_factor)
    enable_two_factor = in_thread(Users.enable_two_factor)
    disable_two_factor = in_thread(Users.disable_two_factor)
    log_out = in_thread(Users.log_out)
    update_profile = in_thread(Users.update_profile)
    change_preferences = in_thread(Users.change_preferences)
    register = in_thread(Users.register)
    has_admin = in_thread(Users.has_admin)
    update = in_thread(Users.update)
    change_password = in_thread(Users.change_password)
    find = in_thread(Users.find)
    log_in = in_thread(Users.log_in)
    set_webhook = in_thread(Users.set_webhook)
    webhook_of = in_thread(Users.webhook_of)


class AsyncLogins(Face):
    """Logins of the database; each method is that of `Logins`, awaited."""

    _inner: Logins

    link = in_thread(Logins.link)
    unlink = in_thread(Logins.unlink)


class AsyncKeys(Face):
    """API keys of the tenant's users; each method is that of `ApiKeys`, awaited."""

    _inner: ApiKeys

    issue = in_thread(ApiKeys.issue)
    use = in_thread(ApiKeys.use)
    check = in_thread(ApiKeys.check)
    revoke = in_thread(ApiKeys.revoke)


def open_async(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    home: Path | None = None,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
    user: str | None = None,
) -> "AsyncForge":
    """Return a forge for asyncio, which is opened by `async with`, or by `await forge.open()`.

    Needs the extra `async`: pip install 'quantum-forge[async]'.

    Args:
        url: of the database, instead of the settings'; see `quantum_forge.open`.
        settings: instead of those of the environment.
        home: the directory of the embedded server and of the spool, instead of the settings'.
        tenant_id: who owns what is read and recorded, instead of the settings'.
        user_id: who records, instead of the settings'.
        user: the same, as a user name or an email address.

    Raises:
        InvalidSetting: when a setting or `url` cannot be used; opening raises what
            `quantum_forge.open` does.
        MissingLibrary: when greenlet, which the extra brings, is not installed.
    """
    if find_spec("greenlet") is None:
        raise MissingLibrary("open_async()", "greenlet", "async")
    return AsyncForge(settings_of(url, settings, home, tenant_id, user_id), user=user)


class AsyncForge(Face):
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

    search = in_thread(Forge.search)
    substructure = in_thread(Forge.substructure)
    similar = in_thread(Forge.similar)

    catch_up = in_thread(Forge.catch_up)
    projecting = made_into(AsyncProjecting, Forge.projecting)
    wait_for = in_thread(Forge.wait_for)
    rebuild = in_thread(Forge.rebuild)
    verify = in_thread(Forge.verify)
    status = in_thread(Forge.status)
    doctor = in_thread(Forge.doctor)

    def __init__(self, settings: Settings, *, user: str | None = None) -> None:
        self.settings = settings
        self._user = user
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
            opening = partial(Forge, self.settings, user=self._user)
            forge = await loop.run_in_executor(threads, opening)
            try:
                self._engine = await open_async_engine(forge.engine.url, self.settings)
            except BaseException:
                await loop.run_in_executor(threads, forge.close)
                raise
        except BaseException:
            threads.shutdown(wait=False)
            raise
        announce_appends(self._engine.sync_engine, through=forge.engine)
        self.settings, self.author = forge.settings, forge.author
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
    def users(self) -> AsyncUsers:
        """See `Forge.users`."""
        return AsyncUsers(self, self._inner.users)

    @property
    def logins(self) -> AsyncLogins:
        """See `Forge.logins`."""
        return AsyncLogins(self, self._inner.logins)

    @property
    def keys(self) -> AsyncKeys:
        """See `Forge.keys`."""
        return AsyncKeys(self, self._inner.keys)

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
