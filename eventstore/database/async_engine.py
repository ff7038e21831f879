"""The connection to PostgreSQL for asyncio: the same driver, pool and errors."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from quantum_forge.eventstore.database.engine import engine_options, translate_failures
from quantum_forge.eventstore.database.session_settings import set_session
from quantum_forge.eventstore.database.settings import EMBEDDED, Settings
from quantum_forge.eventstore.database.tenancy import act_always_for

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def make_async_engine(url: URL, *, source: str = EMBEDDED) -> "AsyncEngine":
    """Return an engine for asyncio whose connection failures are this project's errors.

    What `make_engine` returns, except that no wait for an answer has a deadline (cancel the task),
    and that rows always come as text, since the adapted cursor has no other format.
    `source` is where the address comes from, named in the advice. No connection is made yet.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # needs greenlet, which is optional

    engine = create_async_engine(url, **engine_options(url))
    translate_failures(engine.sync_engine, url, source)

    @event.listens_for(engine.sync_engine, "connect")
    def connected(driver: object, _: ConnectionPoolEntry) -> None:
        set_session(driver)

    return engine


async def open_async_engine(url: URL, settings: Settings) -> "AsyncEngine":
    """Return an engine for asyncio whose transactions act for the tenant of the settings.

    Raises:
        DatabaseUnavailable: when there is no connection to the database.
    """

    def act(connection: Connection) -> None:
        act_always_for(connection.engine, settings.tenant_id)

    engine = make_async_engine(url, source=settings.source)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(act)
    except BaseException:
        await engine.dispose()
        raise
    return engine
