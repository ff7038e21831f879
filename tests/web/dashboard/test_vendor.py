"""Libraries from npm: only what has the pinned hash is kept."""

import base64
import hashlib
import io
import re
import tarfile
from pathlib import Path

import msgspec
import pytest

from quantum_forge.web.dashboard import vendor
from quantum_forge.web.dashboard.vendor import LIBRARIES, OF_TESTS, Library, WrongHash, install


def _archive(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/dist/draw.js")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


ARCHIVE = _archive(b"draw()")
DRAWS = Library(
    name="draws",
    version="1.0.0",
    integrity="sha512-" + base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode(),
    files={"package/dist/draw.js": "draw.min.js"},
)


def test_only_what_has_the_pinned_hash_is_kept(tmp_path: Path) -> None:
    """Another archive under the same address leaves the folder as it was."""
    with pytest.raises(WrongHash, match=r"draws 1\.0\.0 from https://registry"):
        install([DRAWS], tmp_path, fetch=lambda _: _archive(b"steal()"))
    assert list(tmp_path.iterdir()) == []

    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return ARCHIVE

    for _ in range(2):  # what is there is not fetched again
        assert install([DRAWS], tmp_path, fetch=fetch) == []
        assert (tmp_path / "draw.min.js").read_bytes() == b"draw()"
    assert asked == ["https://registry.npmjs.org/draws/-/draws-1.0.0.tgz"]
    with pytest.raises(WrongHash):  # another version is
        install([msgspec.structs.replace(DRAWS, integrity="sha512-x")], tmp_path, fetch=fetch)


def test_without_a_network_it_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever makes the environment gets pages without drawings, and no error."""
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:1/")
    monkeypatch.setattr(vendor, "STATIC_VENDOR", tmp_path)
    monkeypatch.setattr("sys.argv", ["vendor"])
    vendor.main()
    said = capsys.readouterr().err
    assert "uplot cannot be fetched from http://127.0.0.1:1/uplot/-/uplot-" in said
    assert "tables without drawings" in said
    assert list(tmp_path.iterdir()) == []


def test_each_library_is_pinned() -> None:
    """By one version and a SHA-512."""
    for library in (*LIBRARIES, *OF_TESTS):
        assert re.fullmatch(r"\d+\.\d+\.\d+", library.version)
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", library.integrity)
