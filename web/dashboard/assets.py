"""Static files: style sheet, scripts, icons; their address has the hash of the content of all.

One hash, so that scripts import each other by relative addresses, and none is older than another.
"""

import hashlib
import mimetypes
from functools import cache
from pathlib import Path, PurePosixPath

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from quantum_forge.web.failures import no_such_path

STATIC = Path(__file__).parent / "static"

FOR_EVER = "public, max-age=31536000, immutable"
"""What changes has another address."""

_MEDIA_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}


class Asset(msgspec.Struct, frozen=True):
    """A file that is sent as it is."""

    content: bytes
    media_type: str


@cache
def asset(name: str) -> Asset | None:
    """Return a file by its path below the folder `static`; None: there is none.

    Only names from a listing of the folder are looked for: no path leads out of it.
    """
    path = _files().get(name)
    if path is None:
        return None
    content = path.read_bytes()
    kind = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Asset(content, kind or "application/octet-stream")


def address_of_asset(name: str) -> str:
    """Return the address of a file, which changes with its content.

    Raises:
        LookupError: when there is no such file; of a library from elsewhere, ask `has_asset`.
    """
    if not has_asset(name):
        raise LookupError(f"no file {name} in {STATIC}")
    return f"/static/{_digest()}/{name}"


def has_asset(name: str) -> bool:
    """Whether a file is there: libraries from npm are missing where they could not be fetched."""
    return name in _files()


async def static(request: Request) -> Response:
    """Answer GET /static/DIGEST/NAME. A page that is open keeps the address of an old version.

    Raises:
        RestError: 404.
    """
    found = asset(request.path_params["name"])
    if found is None:
        raise no_such_path(request.scope["path"])
    is_current = request.path_params["digest"] == _digest()
    return Response(
        found.content,
        media_type=found.media_type,
        headers={
            "Cache-Control": FOR_EVER if is_current else "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )


@cache
def _files() -> dict[str, Path]:
    return {
        str(PurePosixPath(path.relative_to(STATIC))): path
        for path in STATIC.rglob("*")
        if path.is_file()
    }


@cache
def _digest() -> str:
    whole = hashlib.sha256()
    for name, path in sorted(_files().items()):
        whole.update(f"{name} {path.stat().st_size} ".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]
