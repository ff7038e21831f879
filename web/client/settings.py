"""Settings of the store that commands reach by HTTPS instead of a database."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.env_file import read_dotenv

URL, KEY, CA = "QFORGE_STORE_URL", "QFORGE_STORE_KEY", "QFORGE_STORE_CA"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a served store is, and what lets in. ca: file of the authorities to trust."""

    url: str
    key: Secret
    ca: Path | None = None


def store_url(environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")) -> str | None:
    """Return the address of the store that is set; None where none is."""
    environ = os.environ if environ is None else environ
    return environ.get(URL) or read_dotenv(dotenv).get(URL) or None


def load_store_settings(
    given: str | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Path = Path(".env"),
) -> StoreSettings | None:
    """Read the settings; an empty variable counts as absent; the environment wins over the file.

    Args:
        given: the address that a command was given, instead of that of the settings.
        environ: of the process.
        dotenv: the file.

    Returns:
        None where no store is set.

    Raises:
        InvalidSetting: names the variable; the key is never quoted.
    """
    environ = os.environ if environ is None else environ
    process = {name: value for name, value in environ.items() if value}
    file = {name: value for name, value in read_dotenv(dotenv).items() if value}
    merged = {**file, **process}
    url = given or merged.get(URL)
    if url is None:
        return None
    name = "--store" if given else URL
    _require_address(name, url)
    if KEY not in merged:
        raise InvalidSetting(
            KEY,
            "must be set: `qforge users key USER NAME --scope read --scope write`, where the "
            "store is, makes an API key",
        )
    if given and URL in merged and _bare(given) != _bare(merged[URL]):
        raise InvalidSetting(
            KEY, f"belongs to {URL}, which is another address than --store: set {URL} to it as well"
        )
    if not given and (URL in process) != (KEY in process):
        both = (KEY, URL)
        key, address = ("the environment" if each in process else str(dotenv) for each in both)
        raise InvalidSetting(
            KEY, f"is set in {key}, and {URL} in {address}: set both in the same place"
        )
    ca = merged.get(CA)
    return StoreSettings(
        url=_bare(url), key=Secret(merged[KEY]), ca=None if ca is None else Path(ca).expanduser()
    )


def _bare(url: str) -> str:
    return url.rstrip("/")


def _require_address(name: str, url: str) -> None:
    """Refuse what is no address, without quoting what may be a key in it."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host, parts = False, urlsplit("")
    if parts.scheme not in ("https", "http") or not has_host:
        raise InvalidSetting(name, "must be an address such as https://forge.example")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidSetting(name, f"must be an address alone; the key belongs into {KEY}")
