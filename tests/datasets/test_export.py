"""A dataset holds what counts, in one order, whole or not at all, and says what it left out."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from quantum_forge.datasets import rows
from quantum_forge.datasets.columns import arrow_schema
from quantum_forge.datasets.content import ContentHash
from quantum_forge.datasets.export import export_file, snapshot, write_rows
from quantum_forge.datasets.formats import FORMATS
from quantum_forge.datasets.manifest import Manifest, Recipe, beside_of, read_manifest
from quantum_forge.datasets.mixture import mixtures
from quantum_forge.datasets.rows import UnreadableAtoms
from quantum_forge.datasets.selection import (
    EVERYTHING,
    Selection,
    UnknownSelection,
    select_candidates,
)
from quantum_forge.datasets.units import STORED, Units
from quantum_forge.eventstore.base.moments import parse_moment
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.history.as_of import table_or_rows_at
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge, _fresh
from tests.support.campaigns import until
from tests.support.chemical_history import record
from tests.support.training_set import METHODS, MOLECULES, bad, calculation_of, good

LEFT_OUT = dict.fromkeys(
    ("failed", "invalidated", "lost", "molecule_deleted", "pending", "retracted", "running"), 1
)


MakeRecipe = Callable[..., Recipe]


def recipes(engine: Engine) -> MakeRecipe:
    """A function that makes a recipe for what is recorded now."""

    def make(*where: str, tenant_id: UUID = DEFAULT_TENANT_ID, **more: Any) -> Recipe:
        known = {name: more.pop(name) for name in ("format", "units") if name in more}
        with engine.connect() as connection:
            position = safe_head(connection)
        return Recipe(
            name="set",
            format=known.pop("format", "parquet"),
            **known,
            tenant_id=tenant_id,
            position=position,
            selection=Selection(where=list(where), **more),
        )

    return make


@pytest.fixture
def recipe(engine: Engine) -> MakeRecipe:
    """A function that makes a recipe for the training set, in a database of the test's own."""
    record(engine, *good(), *bad())
    return recipes(engine)


@pytest.fixture(scope="module")
def shared(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Database]:
    """The training set in a database for all tests that only read it."""
    for database in _fresh(server, administrator, template=template):
        record(database.engine, *good(), *bad())
        yield database


def exported(engine: Engine, recipe: Recipe, folder: Path) -> tuple[Manifest, pa.Table]:
    """The manifest and the rows of an export in Parquet."""
    path = folder / f"{uuid4()}.parquet"
    return export_file(engine, recipe, path), pq.read_table(path)


def test_only_results_that_count_are_there_and_the_others_are_counted_by_reason(
    shared: Database, tmp_path: Path
) -> None:
    """Failed, lost, invalidated, retracted, unfinished and deleted ones stay out."""
    recipe = recipes(shared.engine)
    manifest, table = exported(shared.engine, recipe(), tmp_path)

    wanted = [str(calculation_of(molecule, METHODS[0])) for molecule in MOLECULES]
    wanted.append(str(calculation_of(MOLECULES[0], METHODS[1])))
    assert table["calculation_id"].to_pylist() == wanted
    assert manifest.rows == len(wanted)
    assert manifest.excluded == LEFT_OUT
    assert manifest.programs == {"tblite 0.4": len(wanted)}
    assert manifest.settings["program"] == {"tblite": len(wanted)}
    mixed, solvents = mixtures(manifest.settings)
    more = len(wanted) - 1
    assert mixed == (
        f"the dataset mixes 2 methods: {METHODS[1]} (1), {METHODS[0]} ({more});"
        f" --where 'method={METHODS[0]}' chooses one"
    )
    assert solvents.startswith(
        f"the dataset mixes 2 solvents: gas phase ({more}), alpb(water) (1);"
    )
    assert manifest.atoms == sum(map(len, table["elements"].to_pylist()))


def test_conditions_choose_and_do_not_hide_failures(shared: Database, tmp_path: Path) -> None:
    """A failed attempt has no gap: it counts as left out. One by another method does not."""
    recipe = recipes(shared.engine)
    manifest, table = exported(shared.engine, recipe("gap>=2", "method=GFN2-xTB"), tmp_path)
    assert table["gap"].to_pylist() == [2.0, 3.0, 4.0, 5.0]
    # A deleted molecule's and a retracted result's gap is known to be too small.
    assert manifest.excluded == {
        **dict.fromkeys(("failed", "invalidated", "lost", "pending", "running"), 1),
        "value_missing": 1,
    }

    manifest, table = exported(shared.engine, recipe("method=GFN1-xTB"), tmp_path)
    assert (manifest.rows, manifest.excluded) == (1, {})

    manifest, table = exported(shared.engine, recipe("logp<5"), tmp_path)
    assert (manifest.rows, manifest.excluded["value_missing"]) == (0, 7)
    assert table.schema.names == pq.read_schema(next(tmp_path.glob("*.parquet"))).names


def test_a_limit_takes_the_first_of_an_order(shared: Database, tmp_path: Path) -> None:
    """The top by gap; the rows still stand in the order in which they were completed."""
    recipe = recipes(shared.engine)
    top = recipe(order="gap", descending=True, limit=2)
    manifest, table = exported(shared.engine, top, tmp_path)

    assert table["gap"].to_pylist() == [4.0, 5.0]
    assert manifest.excluded == {"beyond_limit": 5, **LEFT_OUT}


@pytest.mark.parametrize("where", ["gap", "nothing>1", "gap>large", "gap>"])
def test_a_condition_that_cannot_be_read_is_refused(
    shared: Database, tmp_path: Path, where: str
) -> None:
    """Nothing is written."""
    recipe = recipes(shared.engine)
    with pytest.raises(UnknownSelection):
        exported(shared.engine, recipe(where), tmp_path)
    with pytest.raises(UnknownSelection):
        exported(shared.engine, recipe(order="nothing", limit=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tables_and_log_give_the_same_content(
    engine: Engine, recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Whether projected or not, before and after more events."""
    # Given: an export of a log that is not projected at all
    asked = recipe()
    from_log, _ = exported(engine, asked, tmp_path)

    # When: it is projected, the same is read from the tables
    catch_up(engine, PROJECTIONS.values())
    with snapshot(engine) as connection:
        source = table_or_rows_at(connection, PROJECTIONS["calculations"], asked.position)
        assert source is PROJECTIONS["calculations"].table
    from_tables, _ = exported(engine, asked, tmp_path)

    # And when what was exported is undone afterwards, the past is read from the log
    undone = [event for event in bad() if event.event.event_type == "calculation_invalidated"][-1:]
    ids = [calculation_of(molecule, METHODS[0]) for molecule in MOLECULES]
    record(
        engine,
        *(
            msgspec.structs.replace(event, entity_id=id_, event_id=uuid4())
            for id_ in ids
            for event in undone
        ),
    )
    catch_up(engine, PROJECTIONS.values())
    past, _ = exported(engine, asked, tmp_path)
    now, _ = exported(engine, recipe(), tmp_path)

    # Then: the content is the same, to the last bit, and the present is another
    assert from_tables.content_sha256 == from_log.content_sha256 == past.content_sha256
    assert from_tables.file is not None
    assert past.file is not None
    assert from_tables.file.sha256 == past.file.sha256
    assert (now.rows, now.excluded["retracted"]) == (1, 7)


def test_atoms_are_those_of_the_read_model(
    engine: Engine, recipe: MakeRecipe, tmp_path: Path
) -> None:
    """They are read from the event that completed a calculation: what atomic_properties holds."""
    _, table = exported(engine, recipe(), tmp_path)
    catch_up(engine, PROJECTIONS.values())

    query = text("""
        SELECT array_agg(element ORDER BY atom_index),
               array_agg(partial_charge ORDER BY atom_index),
               array_agg(ARRAY[position_x, position_y, position_z] ORDER BY atom_index),
               array_agg(ARRAY[force_x, force_y, force_z] ORDER BY atom_index)
          FROM atomic_properties WHERE calculation_id = :id
    """)
    with engine.connect() as connection:
        for row in table.to_pylist():
            found = connection.execute(query, {"id": row["calculation_id"]}).one()
            names = ("elements", "partial_charges", "positions", "forces")
            elements, *others = (row[name] for name in names)
            atoms = len(elements)
            nulls: tuple[Any, ...] = ([None] * atoms, [[]], [[None] * 3] * atoms)
            filled = [other or null for other, null in zip(others, nulls, strict=True)]
            assert list(found) == [elements, *filled]


def test_the_hash_of_the_content_depends_on_rows_alone(
    shared: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not on format, pages or batches; on a single bit of a value it does."""
    recipe = recipes(shared.engine)
    whole, table = exported(shared.engine, recipe(), tmp_path)

    monkeypatch.setattr(rows, "PAGE", 2)
    monkeypatch.setattr(rows, "LARGEST_BATCH", 3)
    cut, _ = exported(shared.engine, recipe(), tmp_path)
    as_text = export_file(shared.engine, recipe(format="jsonl"), tmp_path / "set.jsonl")
    other_units, _ = exported(shared.engine, recipe(units=Units("kcal/mol")), tmp_path)
    assert whole.content_sha256 == cut.content_sha256 == as_text.content_sha256
    assert other_units.content_sha256 != whole.content_sha256

    changed = table.to_pylist()
    changed[2]["forces"][0][1] += 2**-54
    schema = arrow_schema(STORED, {})
    hashes = []
    for content in (table.to_pylist(), changed):
        hashed = ContentHash()
        hashed.update(pa.RecordBatch.from_pylist(content, schema))
        hashes.append(hashed.hexdigest())
    assert hashes[0] == whole.content_sha256
    assert hashes[1] != whole.content_sha256


def test_the_same_export_has_the_same_bytes(shared: Database, tmp_path: Path) -> None:
    """Whatever the format, a second later; and an empty one is a valid file, too."""
    recipe = recipes(shared.engine)
    first = {}
    for name in FORMATS:
        asked = recipe(format=name)
        first[name] = export_file(shared.engine, asked, tmp_path / f"first.{name}")
        assert read_manifest(tmp_path / f"first.{name}") == first[name]
    while int(time.time()) <= int(first["hdf5"].created_at.timestamp()):
        time.sleep(0.05)  # HDF5 could keep times, in seconds
    for name in FORMATS:
        path = tmp_path / f"second.{name}"
        second = export_file(shared.engine, recipe(format=name), path)
        assert path.read_bytes() == (tmp_path / f"first.{name}").read_bytes()
        assert second.file is not None
        assert second.content_sha256 == first[name].content_sha256
        empty = export_file(
            shared.engine, recipe("gap>1000", format=name), tmp_path / f"empty.{name}"
        )
        assert (empty.rows, empty.atoms) == (0, 0)


def test_a_tenant_exports_its_own(shared: Database, tmp_path: Path) -> None:
    """Another tenant's export is empty."""
    recipe = recipes(shared.engine)
    manifest, _ = exported(shared.engine, recipe(tenant_id=uuid4()), tmp_path)

    assert (manifest.rows, manifest.excluded) == (0, {})


def test_atoms_that_are_not_there_or_no_atoms_are_told(
    engine: Engine, recipe: MakeRecipe, tmp_path: Path
) -> None:
    """An empty list is counted, a broken one is an error that names the event."""

    def complete(atoms: str, molecule: int) -> None:
        new = [msgspec.structs.replace(e, event_id=uuid4()) for e in good()[3 * molecule :][:3]]
        with engine.begin() as connection:
            statement = text("""
                SELECT append_events(jsonb_build_array(jsonb_build_object(
                    'event_id', gen_random_uuid(), 'tenant_id', CAST(:tenant AS uuid),
                    'entity_type', 'calculation', 'entity_id', CAST(:id AS uuid),
                    'event_type', 'calculation_completed', 'schema_version', 1,
                    'data', (SELECT data FROM event_logs WHERE event_type = 'calculation_completed'
                              AND entity_id = :id ORDER BY id LIMIT 1)
                            || jsonb_build_object('atoms', CAST(:atoms AS jsonb)))))
            """)
            id_ = new[2].entity_id
            connection.execute(statement, {"tenant": DEFAULT_TENANT_ID, "id": id_, "atoms": atoms})

    recipe()
    complete("[]", 0)
    manifest, _ = exported(engine, recipe(), tmp_path)
    assert manifest.excluded == {**LEFT_OUT, "no_atoms": 1}

    complete('[["H", 1, 0.1]]', 1)
    with pytest.raises(UnreadableAtoms, match="position"):
        exported(engine, recipe(), tmp_path)


# -- files


def test_a_killed_export_leaves_no_file_and_the_next_one_succeeds(
    shared: Database, tmp_path: Path
) -> None:
    """What is left beside is begun anew."""
    recipe = recipes(shared.engine)
    path = tmp_path / "set.parquet"
    asked = recipe()
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"""
import os, signal, msgspec
from pathlib import Path
from quantum_forge.datasets.export import export_file
from quantum_forge.datasets.manifest import Recipe
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.given_address import parse_database_url
engine = make_engine(parse_database_url({libpq_url(shared.url)!r}))
recipe = msgspec.json.decode({msgspec.json.encode(asked)!r}, type=Recipe)
export_file(engine, recipe, Path({str(path)!r}),
            progress=lambda rows, total: os.kill(os.getpid(), signal.SIGKILL))
""",
        ],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    assert not beside_of(path).exists()

    manifest = export_file(shared.engine, asked, path)
    assert pq.read_table(path).num_rows == manifest.rows
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, beside_of(path).name]


def test_the_content_can_be_hashed_without_a_file(shared: Database, tmp_path: Path) -> None:
    """As reproducing does."""
    recipe = recipes(shared.engine)
    manifest, _ = exported(shared.engine, recipe(), tmp_path)
    with snapshot(shared.engine) as connection:
        content = write_rows(connection, recipe(), None)
        assert "calculation_id" in select_candidates(connection, DEFAULT_TENANT_ID, 0).c
    assert content.sha256 == manifest.content_sha256
    assert recipe().selection == EVERYTHING


# -- the command


def test_the_command_writes_a_file_and_a_manifest(
    recipe: MakeRecipe, qforge_here: Qforge, tmp_path: Path
) -> None:
    """Named after the dataset; a second run is refused, --force replaces."""
    recipe()
    said = qforge_here("dataset", "export", "mine", "--where", "gap>2", "--units", "ev")

    assert said.stdout.split() == ["mine.parquet", "mine.parquet.manifest.json"]
    assert "3 calculations with" in said.stderr
    assert "1 failed" in said.stderr
    table = pq.read_table(tmp_path / "mine.parquet")
    assert table.schema.field("forces").metadata[b"unit"] == b"ev/angstrom"
    again = qforge_here("dataset", "export", "mine", status=2)
    assert "--force" in again.stderr
    forced = qforge_here("dataset", "export", "mine", "--force", "--json")
    assert json.loads(forced.stdout)["rows"] == 7
    assert read_manifest(tmp_path / "mine.parquet").rows == 7


def test_the_command_writes_text_to_stdout_until_nobody_reads(
    recipe: MakeRecipe, qforge_here: Qforge, database: Database
) -> None:
    """Lines alone on stdout; a reader that has had enough is no error; Parquet is refused."""
    recipe()
    lines = qforge_here("dataset", "export", "x", "--format", "jsonl", "--output", "-").stdout
    assert len(lines.splitlines()) == 7
    refused = qforge_here("dataset", "export", "x", "--output", "-", status=2)
    assert "--format" in refused.stderr

    piped = subprocess.run(
        f"{sys.executable} -m quantum_forge.cli.main "
        "dataset export x --format sdf --output - | true",
        shell=True,
        env={"DATABASE_URL": libpq_url(database.url), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in piped.stderr
    assert "Error" not in piped.stderr


def test_sigterm_ends_an_export_that_waits_for_rdkit_and_leaves_no_file(
    recipe: MakeRecipe, database: Database, tmp_path: Path
) -> None:
    """A search for bonds without end is in another process: the export heeds a signal meanwhile."""
    recipe()
    export = (
        "import quantum_forge.datasets.formats.sdf as sdf; "
        "sdf._BONDED = 'tests.support.runner_functions:never_ends'; "
        "from quantum_forge.cli.main import main; "
        "main(['dataset', 'export', 'x', '--format', 'sdf', '--output', 'x.sdf'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", export],
        cwd=tmp_path,
        env={
            "DATABASE_URL": libpq_url(database.url),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stderr=subprocess.PIPE,
    ) as process:
        until(lambda: any(tmp_path.glob(".x.sdf.*.partial")), "the export")
        time.sleep(1.0)  # by now it waits, mostly; a signal before that must work just as well
        process.terminate()
        _, complaints = process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGTERM, complaints
    assert list(tmp_path.glob("*x.sdf*")) == []
    assert list(tmp_path.glob(".x.sdf*")) == []


def test_a_day_means_its_end() -> None:
    """Wherever a moment is asked for; a month, too; what is not over yet means now."""
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def local(*parts: int) -> datetime:
        return datetime(*parts).astimezone()  # type: ignore[arg-type]  # local on purpose

    assert parse_moment("2026-03-31", now) == local(2026, 4, 1)
    assert parse_moment("2026-03", now) == local(2026, 4, 1)
    assert parse_moment("2026-11-20", now) == now
    assert parse_moment("2026-12", now) == local(2027, 1, 1)  # which position_at refuses
    assert parse_moment("2026-03-31T00:00", now) == local(2026, 3, 31)
    assert parse_moment("4711", now) == 4711
    for wrong in ("2026-13", "2026-02-30", "march"):
        with pytest.raises(ValueError, match="2026-"):
            parse_moment(wrong, now)
