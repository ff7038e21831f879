"""`qforge db migration new`, in a copy of the repository that gains a domain."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import inspect

from quantum_forge.eventstore.database.engine import Database, libpq_url
from tests.conftest import Qforge, command_line
from tests.eventstore.database.test_domains import DOMAIN
from tests.schema.test_migrations import schema_dump

ROOT = Path(__file__).parents[2]
MESSAGE = "Add instruments"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the rooms."""
    clone = tmp_path / "clone"
    rooms = [each.name for each in (ROOT / "quantum_forge").iterdir() if each.is_symlink()]
    for name in ["quantum_forge", *rooms]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, symlinks=True, ignore=ignored)
    return clone


@pytest.fixture
def changed(clone: Path, database: Database) -> Qforge:
    """Return the command line of the copy, with a new domain."""
    (clone / "schema/domains/instruments.py").write_text(DOMAIN, "utf-8")
    return command_line(clone, DATABASE_URL=libpq_url(database.url), PYTHONPATH=str(clone))


def test_what_cannot_name_a_migration_is_refused_before_anything_is_compared(
    changed: Qforge, clone: Path
) -> None:
    """Nothing is written; a folder whose revisions are broken is one clear error."""
    versions = clone / "schema/migrations/versions"
    before = sorted(versions.iterdir())

    for message in ("", " . ", "🎉", 'a "quote"', "x" * 101):
        refused = changed("db", "migration", "new", message, "--empty", status=2).stderr
        assert "no migration was written: the message" in refused
        assert len(refused.splitlines()) == 1
    assert sorted(versions.iterdir()) == before

    newest = max(versions.glob("0*.py"))
    (versions / "9998_twice.py").write_text(newest.read_text("utf-8"), "utf-8")
    refused = changed("db", "migration", "new", "Words", "--empty", status=2).stderr
    assert "the migrations cannot be read: Revision" in refused
    assert "present more than once" in refused
    assert len(refused.splitlines()) == 1


def test_a_new_table_costs_one_file_and_a_generated_migration(
    clone: Path, changed: Qforge, database: Database
) -> None:
    """The migration makes what is declared, so that nothing is left to write; down undoes it."""
    before = schema_dump(database)
    versions = clone / "schema/migrations/versions"

    written = changed("db", "migration", "new", MESSAGE)
    again = changed("db", "migration", "new", MESSAGE)
    changed("db", "upgrade")

    assert written.stderr.splitlines() == ["new table instruments"]
    module, up, down = (clone / line for line in written.stdout.splitlines())
    assert module.parent == versions
    assert module.read_text("utf-8").startswith(f'"""{MESSAGE}."""\n')
    assert "CREATE TABLE instruments" in up.read_text("utf-8")
    assert "DROP TABLE instruments" in down.read_text("utf-8")
    assert "nothing to write" in again.stderr
    assert again.stdout == ""
    assert "instruments" in inspect(database.engine).get_table_names()

    changed("db", "downgrade", "--yes")
    assert schema_dump(database) == before
