"""The installed package: one top-level name, and each module under one name."""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("cli", "datasets", "eventstore", "notifications", "projections", "runner", "schema", "web")

IMPORT_EVERYTHING = """
import importlib, importlib.util, pkgutil, sys
from pathlib import Path

import quantum_forge

for module in pkgutil.walk_packages(quantum_forge.__path__, "quantum_forge."):
    if module.name == "quantum_forge.fastapi" and importlib.util.find_spec("fastapi") is None:
        continue
    if ".migrations.versions." not in module.name and not module.name.endswith(".env"):
        importlib.import_module(module.name)

names = {}
for name, module in sys.modules.items():
    if file := getattr(module, "__file__", None):
        names.setdefault(str(Path(file).resolve()), []).append(name)
for file, found in names.items():
    ours = [name for name in found if name.startswith("quantum_forge")]
    if ours and len(found) > 1:
        print(file, found)
print(len([name for name in sys.modules if name.startswith("quantum_forge.")]))
"""


def test_no_module_is_imported_under_two_names() -> None:
    """Two names would be two registries of event types, of which one is empty."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    *twice, count = done.stdout.splitlines()
    assert twice == []
    assert int(count) > 250


@cache
def wheel_names() -> list[str]:
    """Build the wheel, without a network; return the names of its files."""
    with tempfile.TemporaryDirectory(prefix="qforge-wheel-") as folder:
        return _wheel_names(Path(folder))


def _wheel_names(folder: Path) -> list[str]:
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("quantum_forge", *ROOMS):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_quantum_forge_alone() -> None:
    """Installing it replaces no file of another distribution."""
    names = wheel_names()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"quantum_forge"}
    for room in ROOMS:
        assert f"quantum_forge/{room}/py.typed" in names
    assert "quantum_forge/schema/sql/append_events.sql" in names
    assert "quantum_forge/schema/migrations/script.py.mako" in names
    # With the libraries of npm, where they were fetched.
    for folder in ("templates", "static"):
        dashboard = ROOT / "web/dashboard"
        files = [path for path in (dashboard / folder).rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert f"quantum_forge/web/dashboard/{path.relative_to(dashboard)}" in names


def test_each_folder_states_its_purpose_in_contributing_as_in_its_docstring() -> None:
    """A reader finds every room, and what belongs there, in one table."""
    rows = re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    purposes = {}
    for path in (ROOT / "quantum_forge/__init__.py", *_initialisers()):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        folder = path.parent.relative_to(ROOT).as_posix()
        purposes[folder] = docstring.partition("\n")[0].removesuffix(".")

    assert dict(rows) == purposes


def _initialisers() -> list[Path]:
    return [path for room in ROOMS for path in (ROOT / room).rglob("__init__.py")]
