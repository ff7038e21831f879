"""Libraries for browsers, from the registry of npm: pinned by version and hash, not committed.

`python -m quantum_forge.web.dashboard.vendor` fetches them into `static/vendor`, and `--dev` those
of the tests into another folder. They ship in the wheel. Without a network it says so, and the
pages show tables where there would be drawings.
"""

import base64
import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from quantum_forge.eventstore.base.errors import QuantumForgeError

STATIC_VENDOR = Path(__file__).parent / "static" / "vendor"
_LARGEST = 20 * 2**20
_SECONDS = 60.0


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A package of npm, and the files of it that are wanted.

    integrity: as npm states it, sha512 in base64. files: names here, by paths in the package.
    """

    name: str
    version: str
    integrity: str
    files: Mapping[str, str]

    @property
    def address(self) -> str:
        """Where the registry has it: that of npm, or of NPM_CONFIG_REGISTRY as npm reads it."""
        registry = os.environ.get("NPM_CONFIG_REGISTRY") or "https://registry.npmjs.org"
        return f"{registry.rstrip('/')}/{self.name}/-/{self.name}-{self.version}.tgz"


LIBRARIES: Sequence[Library] = (
    Library(
        name="uplot",
        version="1.6.32",
        integrity="sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        files={
            "package/dist/uPlot.iife.min.js": "uPlot.min.js",
            "package/dist/uPlot.min.css": "uPlot.min.css",
            "package/LICENSE": "uPlot.LICENSE",
        },
    ),
    Library(
        name="3dmol",
        version="2.5.5",
        integrity="sha512-kqNHouGqq3YfW58174tdERvm0XYTmP0tavQKOqIw1ouc2OJ7epkXEFrtEkVXV0clBZT2Ze2xHRC/qxX0u0qCdw==",
        files={"package/build/3Dmol-min.js": "3Dmol.min.js", "package/LICENSE": "3Dmol.LICENSE"},
    ),
)

OF_TESTS: Sequence[Library] = (
    Library(
        name="axe-core",
        version="4.14.1",
        integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        files={"package/axe.min.js": "axe.min.js"},
    ),
)
"""Checks pages for accessibility; ships with nothing."""


class WrongHash(QuantumForgeError):
    """What was fetched is not what was pinned."""

    def __init__(self, library: Library, found: str) -> None:
        super().__init__(
            f"{library.name} {library.version} from {library.address} has the hash {found}, not "
            f"{library.integrity}: nothing of it was kept. Somebody changed it on the way, or the "
            "table in web/dashboard/vendor.py is wrong"
        )


def fetch(address: str) -> bytes:
    """Return what an address has; its hash is checked afterwards.

    Raises:
        OSError: when it cannot be fetched.
    """
    with urllib.request.urlopen(address, timeout=_SECONDS) as reply:  # a constant
        content: bytes = reply.read(_LARGEST)
    return content


def unpack(library: Library, archive: bytes, folder: Path) -> None:
    """Write the wanted files of a library, if it has the pinned hash.

    Raises:
        WrongHash: before anything is written.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != library.integrity:
        raise WrongHash(library, found)
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
        for path, name in library.files.items():
            member = packed.extractfile(path)
            assert member is not None, f"{path} is a file of what has this hash"
            (folder / name).write_bytes(member.read())
    _mark(library, folder).write_text(library.integrity + "\n", encoding="ascii")


def install(
    libraries: Sequence[Library],
    folder: Path,
    *,
    fetch: Callable[[str], bytes] = fetch,
) -> list[str]:
    """Fetch what the folder lacks of the libraries; returns why some could not be fetched.

    Raises:
        WrongHash
    """
    troubles = []
    for library in libraries:
        if _has(library, folder):
            continue
        try:
            archive = fetch(library.address)
        except OSError as error:
            troubles.append(f"{library.name} cannot be fetched from {library.address}: {error}")
            continue
        unpack(library, archive, folder)
    return troubles


def _has(library: Library, folder: Path) -> bool:
    try:
        return _mark(library, folder).read_text(encoding="ascii").strip() == library.integrity
    except OSError:
        return False


def _mark(library: Library, folder: Path) -> Path:
    """A file that says which version is there."""
    return folder / f"{library.name}.integrity"


def main() -> None:
    """Fetch the libraries of the pages, and with a folder as argument those of the tests there."""
    troubles = install(LIBRARIES, STATIC_VENDOR)
    if len(sys.argv) > 1:
        troubles += install(OF_TESTS, Path(sys.argv[1]))
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    if troubles:
        print("Pages of the dashboard show tables without drawings until then.", file=sys.stderr)


if __name__ == "__main__":
    main()
