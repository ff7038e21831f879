"""Dependencies for FastAPI: one forge for the application, opened and closed with it.

    app = FastAPI(lifespan=opened())

    @app.get("/molecules/{smiles}")
    async def molecules(smiles: str, forge: Annotated[qf.AsyncForge, Depends(get_async_db)]):
        return await forge.table("molecules").where(smiles=smiles).rows()

Needs the extra `fastapi`: pip install 'quantum-forge[fastapi]'. examples/web_service.py is a whole
application.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import UUID

from fastapi import FastAPI
from fastapi.requests import HTTPConnection

from quantum_forge.asynchronous import AsyncForge, open_async
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.forge import Forge

__all__ = ["NotOpened", "get_async_db", "get_db", "opened"]


class NotOpened(QuantumForgeError):
    """A request asks for the forge of an application that was made without one."""

    def __init__(self) -> None:
        super().__init__(
            "this application has no forge: make it with "
            "FastAPI(lifespan=quantum_forge.fastapi.opened())"
        )


def opened(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    home: Path | None = None,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a lifespan that opens a forge when the application starts, and closes it at its end.

    Args:
        url: of the database, instead of the settings'; see `quantum_forge.open`.
        settings: instead of those of the environment.
        home: the directory of the embedded server and of the spool, instead of the settings'.
        tenant_id: who owns what is read and recorded, instead of the settings'.
        user_id: who records, instead of the settings'.

    Raises:
        What `quantum_forge.open` raises, when the application starts.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        forge = open_async(url, settings=settings, home=home, tenant_id=tenant_id, user_id=user_id)
        async with forge:
            app.state.quantum_forge = forge
            try:
                yield
            finally:
                del app.state.quantum_forge

    return lifespan


def get_async_db(connection: HTTPConnection) -> AsyncForge:
    """Return the application's forge, for `async def` endpoints; of a request or a WebSocket.

    Raises:
        NotOpened: when the application was made without `opened`.
    """
    forge = getattr(connection.app.state, "quantum_forge", None)
    if not isinstance(forge, AsyncForge):
        raise NotOpened
    return forge


def get_db(connection: HTTPConnection) -> Forge:
    """Return the application's forge, for `def` endpoints, which FastAPI runs in threads.

    Raises:
        NotOpened: when the application was made without `opened`.
    """
    return get_async_db(connection).forge
