"""docs/how-to/python.md: it documents exactly the public API, and its code runs."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import quantum_forge as qf
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.schema.domains import EVENT_TYPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "python.md").read_text("utf-8")


def names_under(title: str) -> list[str]:
    """The names in the first column of the table under a title."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def public(cls: type) -> set[str]:
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("quantum_forge.")
        for name in vars(base)
        if not name.startswith("_")
    }


def test_the_page_names_exactly_the_public_names() -> None:
    """What is in __all__ is documented, and nothing else."""
    assert sorted(names_under("Names")) == sorted(qf.__all__)
    assert sorted(names_under("Forge")) == sorted(public(qf.Forge))


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    """And so has every method, which names each of its arguments where it has several."""
    for name in qf.__all__:
        assert inspect.getdoc(getattr(qf, name)), name
    for cls in (qf.Forge, qf.Query, qf.Datasets, qf.AsyncForge, qf.AsyncQuery):
        for name in public(cls):
            member = inspect.getattr_static(cls, name)
            text = inspect.getdoc(member) or ""
            assert text, f"{cls.__name__}.{name}"
            if not inspect.isfunction(member):
                continue
            _, *arguments = inspect.signature(member).parameters
            if len(arguments) > 2:
                missing = [each for each in arguments if f"{each}:" not in text]
                assert not missing, f"{cls.__name__}.{name} does not say what {missing} are"


def test_every_event_type_is_a_public_name() -> None:
    """At runtime by the registry, for type checkers by the stub, which is up to date."""
    ours = [cls for cls in EVENT_TYPES if cls.__module__.startswith("quantum_forge.")]
    for event_type in ours:
        assert getattr(qf, event_type.__name__) is event_type
        assert event_type.__name__ in dir(qf)
    event_types = import_module("quantum_forge.event_types")
    stub = event_types.STUB.read_text("utf-8")
    assert stub == event_types.stub(), "run: python -m quantum_forge.event_types"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """With the name, so that a typing error is found."""
    assert not hasattr(qf, "MoleculeCreted")
    assert not hasattr(qf, "opne")


def test_importing_the_package_imports_nothing_else() -> None:
    """Neither the database driver nor a room: a script that needs one name waits for one name."""
    code = (
        "import sys, quantum_forge\n"
        "others = ('sqlalchemy', 'quantum_forge.', 'pyarrow')\n"
        "print([name for name in sys.modules if name.startswith(others)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_code_of_the_page_runs(database: Database, tmp_path: Path) -> None:
    """From the first block to the last, on one database."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={
            "DATABASE_URL": libpq_url(database.url),
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "project 1"
    assert lines[1:3] == ["ethanol C2H6O", "methane CH4"]
    assert lines[-3:] == ["completed", "molecule_created", "1"]
