"""Folders of jobs come into the log whole and once, and every folder is accounted for."""

import contextlib
import gc
import itertools
import json
import shutil
import signal
import weakref
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.jobs import worker
from quantum_forge.runner.jobs.identities import Identities
from quantum_forge.runner.jobs.importing import APART, _in_turn, import_jobs
from quantum_forge.runner.jobs.outcome import FolderOutcome, Imported
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents
from quantum_forge.runner.jobs.reading.folders import Folder, discover
from quantum_forge.runner.jobs.reading.reader import read_job
from quantum_forge.runner.jobs.worker import Importer, Target
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.schema.tables import event_logs
from tests.conftest import Qforge, _fresh
from tests.support.campaigns import chemistry, counted, rows, running, until
from tests.support.import_functions import ENDLESS, FATAL
from tests.support.job_folders import (
    BROKEN,
    COMPLETED,
    FAILED,
    INVALIDATED,
    PRESENT,
    SKIPPED,
    Written,
    write_job_folders,
)

COUNT = 140
USER = UUID(int=7)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Written]:
    """Good and bad folders, each kind at least once."""
    found = write_job_folders(tmp_path_factory.mktemp("import") / "jobs", COUNT, faults=0.4)
    assert len({each.kind for each in found}) >= 24
    return found


@pytest.fixture(scope="module")
def directory(written: list[Written]) -> Path:
    return written[0].folder.parent


@pytest.fixture(scope="module")
def imported(
    server: EmbeddedServer, administrator: Engine, template: str, directory: Path
) -> Iterator[tuple[Database, Imported, list[FolderOutcome]]]:
    """A database into which all were imported; tests only read it, or import again."""
    for database in _fresh(server, administrator, template=template):
        outcomes: list[FolderOutcome] = []
        done = import_jobs(target(database), directory, jobs=2, on_folder=outcomes.append)
        yield database, done, outcomes


def target(database: Database, **more: Any) -> Target:
    url = database.url.render_as_string(hide_password=False)
    return Target(url, DEFAULT_TENANT_ID, USER, **more)


def in_this_process(database: Database, directory: Path, **more: Any) -> list[FolderOutcome]:
    """Import without processes: faster for a few folders."""
    found = [each for each in discover(directory) if isinstance(each, Folder)]
    return Importer(database.engine, target(database, **more)).run(found)


def events_in(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(event_logs)).scalar_one()


Result = tuple[Database, Imported, list[FolderOutcome]]


def test_every_folder_becomes_what_it_is(imported: Result, written: list[Written]) -> None:
    _, done, outcomes = imported
    by_path = {outcome.path: outcome for outcome in outcomes}

    assert done.folders == len(outcomes) == len(by_path)
    copies = Counter[str]()
    for each in written:
        if each.expected == PRESENT:
            continue  # below
        outcome = by_path[str(each.folder)]
        if outcome.outcome == "present":
            copies[each.folder.name] += 1  # a copy of it came first
            continue
        became = {"failed": BROKEN, "skipped": SKIPPED}.get(outcome.outcome, outcome.status)
        assert became == each.expected, (each.kind, outcome)
        assert (outcome.reason is None) == (became == COMPLETED)
    for each in written:
        if each.expected == PRESENT:
            (copy,) = (o for o in outcomes if o.path.startswith(f"{each.folder}/backup/"))
            assert copy.outcome == "present" or copies[Path(copy.path).name] >= 1
    expected = Counter(each.expected for each in written)
    assert done.statuses == {s: expected[s] for s in (COMPLETED, FAILED, INVALIDATED)}
    assert done.failed == expected[BROKEN]


def test_each_failure_names_its_file_and_reason(imported: Result) -> None:
    _, done, _ = imported

    assert done.failures
    for failure in done.failures:
        assert failure.file, failure
        assert failure.reason, failure


def test_a_second_run_appends_nothing(imported: Result, directory: Path) -> None:
    database, first, _ = imported
    before = events_in(database.engine)

    again = import_jobs(target(database), directory, jobs=1)

    assert events_in(database.engine) == before
    assert again.imported == 0
    assert again.present == first.imported + first.present
    assert (again.skipped, again.failed) == (first.skipped, first.failed)


def test_tables_say_what_the_folders_said(imported: Result, written: list[Written]) -> None:
    database, done, outcomes = imported
    ids = {outcome.path: outcome.calculation_id for outcome in outcomes}

    calculations = {row["id"]: row for row in rows(database.engine, "calculations")}
    atoms = rows(database.engine, "atomic_properties")
    molecules = rows(database.engine, "molecules")

    assert Counter(row["status"] for row in calculations.values()) == done.statuses
    assert len(molecules) == len({(row["smiles"], row["charge"]) for row in molecules})
    later = [each for each in written if each.kind == "later_release"]
    for each in later[:10]:
        metadata = json.loads((each.folder / "metadata.json").read_text())
        results = json.loads((each.folder / "results.json").read_text())["results"]
        its_id = ids[str(each.folder)]
        assert its_id is not None
        row = calculations[its_id]
        assert row["energy"] == results["energy"]
        assert (row["homo"], row["lumo"]) == (results["homo"], results["lumo"])
        assert row["dipole"] == results["dipole_moment"]
        assert (row["method"], row["program_version"]) == (
            metadata["method"],
            results["xtb_version"],
        )
        assert row["optimization_level"] == metadata["optimization_level"]
        assert row["started_at"] == datetime.fromisoformat(metadata["created_at"])
        assert row["completed_at"] == datetime.fromisoformat(metadata["updated_at"])
        assert row["metadata"]["job_id"] == metadata["job_id"]
        its_atoms = [atom for atom in atoms if atom["calculation_id"] == its_id]
        assert [atom["partial_charge"] for atom in its_atoms] == results["partial_charges"]
        assert {atom["force_x"] for atom in its_atoms} == {None}


def test_an_event_has_the_time_of_the_job_and_the_user_who_ran_it(imported: Result) -> None:
    database, *_ = imported

    with database.engine.connect() as connection:
        events = list(read_all(connection))

    assert {event.user_id for event in events} == {USER}
    assert max(event.occurred_at for event in events) < datetime(2024, 1, 1, tzinfo=UTC)
    assert min(event.recorded_at for event in events) > datetime(2026, 1, 1, tzinfo=UTC)


def test_a_copy_that_another_process_imports_at_the_same_moment_is_already_there(
    database: Database, written: list[Written], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked for it in vain; one of them appends it, and one of them counts it."""
    original = next(each for each in written if each.kind == "later_release").folder
    shutil.copytree(original, tmp_path / original.name)
    monkeypatch.setattr(worker, "existing_streams", lambda *_: set())

    (first,) = in_this_process(database, original)
    (second,) = in_this_process(database, tmp_path / original.name)

    assert (first.outcome, second.outcome) == ("imported", "present")
    assert second.calculation_id == first.calculation_id
    assert counted(database.engine).total() == 3


def test_ids_follow_from_tenant_job_and_content(
    imported: Result, database: Database, written: list[Written], tmp_path: Path
) -> None:
    _, _, outcomes = imported
    original = next(each for each in written if each.kind == "later_release").folder
    known = next(o.calculation_id for o in outcomes if o.path == str(original))
    same, changed = tmp_path / "a" / original.name, tmp_path / "b" / original.name
    for copy in (same, changed):
        shutil.copytree(original, copy)
    text = (changed / "results.json").read_text()
    (changed / "results.json").write_text(text.replace('"success"', '"success" '))

    (first,) = in_this_process(database, same)
    (second,) = in_this_process(database, changed)
    other_tenant = Importer(
        database.engine, Target(str(database.url), UUID(int=9), USER, dry_run=True)
    )
    (third,) = other_tenant.run([f for f in discover(same) if isinstance(f, Folder)])

    assert first.calculation_id == known
    assert len({first.calculation_id, second.calculation_id, third.calculation_id}) == 3


def test_a_molecule_without_a_name_has_that_of_its_folder(
    database: Database, tmp_path: Path
) -> None:
    """Its path below the imported directory; a name that the job states goes first."""
    stated: dict[str, dict[str, str]] = {"series/a": {}, "b": {"molecule_name": "ethanol"}}
    for number, (relative, more) in enumerate(stated.items(), start=1):
        folder = tmp_path / "jobs" / relative
        folder.mkdir(parents=True)
        metadata = {"smiles": "C" * number + "O", "charge": 0, "multiplicity": 1} | more
        (folder / "metadata.json").write_text(json.dumps(metadata))
        (folder / "results.json").write_text(json.dumps({"status": "failed", "error": "disk full"}))
    alone = tmp_path / "alone"
    shutil.copytree(tmp_path / "jobs" / "series" / "a", alone)
    (alone / "metadata.json").write_text(json.dumps({"smiles": "CCCO"}))

    in_this_process(database, tmp_path / "jobs")
    in_this_process(database, alone)

    names = {each["smiles"]: each["name"] for each in rows(database.engine, "molecules")}
    assert names == {"CO": "series/a", "CCO": "ethanol", "CCCO": "alone"}


def test_a_result_of_another_constitution_than_its_smiles_is_invalidated(
    database: Database, tmp_path: Path
) -> None:
    """Both are named. Hydrogens at other atoms, as of a proton that has moved, are a warning."""
    for name, smiles, of, energy in (
        ("ether", "COC", "CCO", -11.365270760),
        ("enol", "CC(O)=C", "CC(C)=O", -13.0),
        ("ethanol", "CCO", "CCO", -11.365270760),
    ):
        folder = tmp_path / "jobs" / name
        folder.mkdir(parents=True)
        (folder / "mol.xyz").write_text(embed(of).xyz_text())
        (folder / "metadata.json").write_text(json.dumps({"canonical_smiles": smiles}))
        (folder / "results.json").write_text(json.dumps({"energy": energy}))

    outcomes = in_this_process(database, tmp_path / "jobs")

    reasons = {Path(each.path).name: each.reason or "" for each in outcomes}
    assert "the bonds of CCO" in reasons["ether"]
    assert "the SMILES COC" in reasons["ether"]
    molecules = {row["id"]: row["smiles"] for row in rows(database.engine, "molecules")}
    calculations = rows(database.engine, "calculations")
    found = {molecules[row["molecule_id"]]: row for row in calculations}
    assert {smiles: row["status"] for smiles, row in found.items()} == {
        "COC": "invalidated",
        "C=C(C)O": "completed",
        "CCO": "completed",
    }
    assert "hydrogens at other atoms" in str(found["C=C(C)O"]["warnings"])
    assert found["CCO"]["warnings"] is None


def test_a_dry_run_judges_and_appends_nothing(
    database: Database, directory: Path, imported: Result
) -> None:
    _, done, _ = imported

    dry = import_jobs(target(database, dry_run=True), directory, jobs=2)

    assert events_in(database.engine) == 0
    assert (dry.failed, dry.skipped) == (done.failed, done.skipped)
    assert dry.imported + dry.present == done.imported + done.present


def test_the_energy_of_xtbs_own_files_outweighs_that_of_results_json(
    database: Database, written: list[Written], tmp_path: Path
) -> None:
    """The first releases took the energy before the optimisation from the log."""
    original = next(each for each in written if each.kind == "first_release").folder
    folder = tmp_path / "jobs" / original.name
    shutil.copytree(original, folder)
    results = json.loads((folder / "results.json").read_text())
    true = results["energy"]
    results["energy"] = results["results"]["energy"] = true + 0.005
    (folder / "results.json").write_text(json.dumps(results))

    (outcome,) = in_this_process(database, folder)

    (row,) = rows(database.engine, "calculations", ["id", "energy", "metadata"])
    assert outcome.status == COMPLETED
    assert row["energy"] == pytest.approx(true, abs=1e-11)
    assert "an energy that differs" in row["metadata"]["import_notes"][0]


def test_a_folder_that_ends_its_process_stops_no_other(
    database: Database,
    written: list[Written],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The processes take this one's import path; with it they find `tests`.
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    originals = [each.folder for each in written if each.kind == "later_release"][:5]
    for original in originals:
        shutil.copytree(original, tmp_path / "jobs" / original.name)
    shutil.copytree(originals[0], tmp_path / "jobs" / FATAL)

    done = import_jobs(
        target(database),
        tmp_path / "jobs",
        jobs=2,
        function="tests.support.import_functions:import_unless_fatal",
    )

    assert (done.imported, done.failed) == (5, 1)
    (failure,) = done.failures
    assert failure.path.endswith(FATAL)
    assert "SIGSEGV" in (failure.reason or "")


def test_a_folder_that_takes_for_ever_fails_and_the_others_are_imported(
    database: Database,
    written: list[Written],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deadline of a chunk, and then of each of its folders, costs that folder alone."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    monkeypatch.setattr("quantum_forge.runner.jobs.importing.TIMEOUT_SECONDS", 4.0)
    monkeypatch.setattr("quantum_forge.runner.jobs.importing.FOLDER_SECONDS", 4.0)
    original = next(each.folder for each in written if each.kind == "later_release")
    shutil.copytree(original, tmp_path / "jobs" / "good")
    shutil.copytree(original, tmp_path / "jobs" / ENDLESS)

    done = import_jobs(
        target(database),
        tmp_path / "jobs",
        jobs=1,
        function="tests.support.import_functions:import_unless_fatal",
    )

    assert (done.imported, done.failed) == (1, 1)
    assert done.failures[0].path.endswith(ENDLESS)
    assert done.failures[0].reason == "killed after 4 s"


def test_a_limit_is_kept(database: Database, directory: Path) -> None:
    done = import_jobs(target(database), directory, jobs=1, limit=5)

    assert done.imported + done.present + done.failed + done.skipped >= 5
    assert done.imported + done.present <= 5


def test_killed_at_any_time_and_run_again_it_ends_the_same(
    database: Database, directory: Path, imported: Result, tmp_path: Path
) -> None:
    undisturbed, done, _ = imported
    arguments = ("import", "jobs", str(directory), "--jobs", "2", "--user-id", str(USER))
    url = libpq_url(database.url)

    with running(tmp_path, *arguments, DATABASE_URL=url) as command:
        # Chunks of 64 jobs: something is in the log, and something is not.
        until(
            lambda: events_in(database.engine) > 0 or command.process.poll() is not None,
            "events of the import",
            seconds=300,
        )
        command.signal_group(signal.SIGKILL)
    with running(tmp_path, *arguments, "--json", DATABASE_URL=url) as command:
        status, out, err = command.end(timeout=300)

    assert status == 3, err  # some cannot be read
    counts = json.loads(out)
    assert counts["folders"] == done.folders
    assert counts["failed"] == done.failed
    assert counts["imported"] + counts["present"] == done.imported + done.present
    assert counted(database.engine) == counted(undisturbed.engine)
    assert unnamed(chemistry(database.engine)) == unnamed(chemistry(undisturbed.engine))


def unnamed(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without names: a molecule has that of the job that was first, as the processes had it."""
    for molecule in tables["molecules"]:
        del molecule["name"]
    return tables


def test_the_command_prints_a_table_names_failures_and_writes_a_report(
    qforge_here: Qforge, directory: Path, imported: Result, tmp_path: Path
) -> None:
    _, done, outcomes = imported

    said = qforge_here(
        *("import", "jobs", str(directory), "--dry-run", "--report", "report.jsonl"), status=3
    )

    lines = dict(line.split("\t")[:2] for line in said.stdout.splitlines())
    assert int(lines["failed"]) == done.failed
    assert int(lines["skipped"]) == done.skipped
    assert int(lines["would be imported"]) + int(lines["already there"]) == (
        done.imported + done.present
    )
    assert "results.json: is empty" in said.stderr
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert {each["path"] for each in report} == {outcome.path for outcome in outcomes}


def test_a_directory_that_is_none_is_one_clear_error(qforge_here: Qforge, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    missing = qforge_here("import", "jobs", "nowhere", status=2)
    no_directory = qforge_here("import", "jobs", "file", status=2)

    assert "no such directory" in missing.stderr
    assert "is not a directory" in no_directory.stderr


def test_an_empty_directory_has_nothing_to_import(qforge_here: Qforge, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()

    said = qforge_here("import", "jobs", "jobs", "--json")

    assert json.loads(said.stdout)["imported"] == 0


def test_a_molecule_that_is_none_keeps_no_job_in_memory(written: list[Written]) -> None:
    """An error remembered as it was raised kept a chunk of jobs and their logs, for each."""
    folder = next(each.folder for each in written if each.kind == "unreadable_smiles")
    (found,) = discover(folder)
    assert isinstance(found, Folder)
    job = read_job(FolderContents(found))
    identities = Identities()

    def ask() -> weakref.ref[FolderContents]:
        there_meanwhile = FolderContents(found)
        with contextlib.suppress(InputError):
            identities.of(job)
        return weakref.ref(there_meanwhile)

    kept = [ask(), ask()]

    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_folders_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    """What is of one molecule has names that begin alike."""
    names = [f"job_{number * 37 % 100:02}" for number in range(100)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.json").touch()

    assert [Path(found.path).name for found in discover(tmp_path)] == sorted(names)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_two_processes_do_not_work_on_neighbouring_chunks(jobs: int) -> None:
    chunks = [(Folder(str(number), ()),) for number in range(jobs * APART * 2 + 3)]

    order = [int(chunk[0].path) for chunk in _in_turn(iter(chunks), jobs)]

    assert sorted(order) == list(range(len(chunks)))
    for start in range(0, jobs * APART, jobs):
        at_a_time = order[start : start + jobs]
        assert all(later - earlier == APART for earlier, later in itertools.pairwise(at_a_time))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "results.json").open("wb") as file:
        file.truncate(2**40)
    (folder,) = discover(tmp_path)
    assert isinstance(folder, Folder)

    with pytest.raises(BrokenJob, match="larger than"):
        read_job(FolderContents(folder))
