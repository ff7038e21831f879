"""A real server on a free port, in a thread of the test's process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import uvicorn

from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID, Settings
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.hashing import hash_token
from quantum_forge.schema.domains.access import ApiKeyIssued
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.web.app import OF_UVICORN, create_app
from quantum_forge.web.settings import WebSettings

SECRET = "a secret of at least thirty-two bytes"


@contextlib.contextmanager
def serving(
    database: Database,
    home: Path,
    web: WebSettings,
    *,
    port: int = 0,
    tls: tuple[Path, Path] | None = None,
    **given: Any,
) -> Iterator[str]:
    """Serve a database for the length of a `with`; gives the address, such as http://127.0.0.1:1.

    tls: the files of a certificate and its key, to serve over HTTPS.
    """
    certificate, its_key = tls or (None, None)
    settings = Settings(url=database.url, source="the test", home=home, user_id=uuid7(), **given)
    config = uvicorn.Config(
        create_app(settings, msgspec.structs.replace(web, log=False)),
        ssl_certfile=certificate,
        ssl_keyfile=its_key,
        **OF_UVICORN,
    )
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def bearer(key: str) -> dict[str, str]:
    """Return the header by which a key or token lets in."""
    return {"Authorization": f"Bearer {key}"}


def client(url: str, key: str | None = None) -> httpx2.Client:
    """Return a client of the server; close it, or use it in a `with`."""
    return httpx2.Client(base_url=url, headers={} if key is None else bearer(key), timeout=30)


TENANT = DEFAULT_TENANT_ID
OTHER = UUID("00000000-0000-4000-8000-0000000000bb")


def old_key(recorder: Recorder, user_id: UUID, scopes: list[str]) -> str:
    """Record an API key of the time when any word was a scope; returns it."""
    key = Secret.random("qf_12345678_")
    hashed = hash_token(key)
    issued = ApiKeyIssued(
        user_id=user_id, name="old", prefix="qf_12345678", key_hash=hashed, scopes=scopes
    )
    key_id = natural_id("api_key", recorder.author.tenant_id, hashed)
    recorder.for_action().record(issued, of=key_id)
    return key.reveal()
