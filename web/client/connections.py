"""`connect(url, key)`: a client over HTTPS, and `connect_async` for asyncio; needs httpx."""

import os
from pathlib import Path

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.env_file import read_dotenv
from quantum_forge.web.client.async_client import AsyncClient
from quantum_forge.web.client.attempts import TRIES
from quantum_forge.web.client.client import Client


def connect(
    url: str | None = None,
    key: str | None = None,
    *,
    timeout: float = 60.0,
    tries: int = TRIES,
    ca: Path | None = None,
) -> Client:
    """Return a client of a store that `qforge serve` serves; close it, or use it in a `with`.

        with quantum_forge.connect("https://forge.example", "qf_…") as client:
            client.get("molecules", filters={"name": "ethanol"})

    Args:
        url: its address; that of QFORGE_URL or SUPABASE_URL unless given.
        key: an API key or a token; that of QFORGE_KEY or SUPABASE_KEY unless given.
        timeout: for each answer, in s.
        tries: times that a request is sent at most where the server is away.
        ca: file of the certificate authorities to trust instead of those of the system.

    Raises:
        InvalidSetting: when there is no address or key.
        MissingLibrary: when httpx is not installed.
    """
    return Client(*_target(url, key), timeout=timeout, tries=tries, ca=ca)


def connect_async(
    url: str | None = None,
    key: str | None = None,
    *,
    timeout: float = 60.0,  # of a connection, for all of its calls
    tries: int = TRIES,
    ca: Path | None = None,
) -> AsyncClient:
    """Return a client for asyncio, with the methods of `connect`'s; use it in an `async with`."""
    return AsyncClient(*_target(url, key), timeout=timeout, tries=tries, ca=ca)


def _target(url: str | None, key: str | None) -> tuple[str, Secret]:
    """The address and the key that are given, or those of the environment or a .env file."""
    variables = {**read_dotenv(Path(".env")), **os.environ}
    url = url or variables.get("QFORGE_URL") or variables.get("SUPABASE_URL")
    key = key or variables.get("QFORGE_KEY") or variables.get("SUPABASE_KEY")
    if not url:
        raise InvalidSetting("QFORGE_URL", "must be set, such as https://forge.example")
    if not url.startswith(("https://", "http://")):
        raise InvalidSetting("QFORGE_URL", f"must begin with https:// or http://, not {url!r}")
    if not key:
        raise InvalidSetting("QFORGE_KEY", "must be set: qforge users key makes an API key")
    return url.rstrip("/"), Secret(key)
