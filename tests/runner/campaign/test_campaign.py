"""Every line of a file ends as exactly one record, however often and however rudely it is run."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge, _fresh, command_line
from tests.support.campaigns import (
    OTHER_BAD,
    chemistry,
    completed_more_than,
    counted,
    different,
    nci,
    nci_with_bad_ones,
    rows,
    running,
    statuses,
    until,
    write,
)
from tests.support.tables import table_rows


class Undisturbed:
    """A run to which nothing happened: its database, and what it said."""

    def __init__(self, database: Database, said: dict[str, Any]) -> None:
        self.engine = database.engine
        self.url = libpq_url(database.url)
        self.said = said


@pytest.fixture(scope="module")
def undisturbed(
    server: EmbeddedServer,
    administrator: Engine,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Undisturbed]:
    """Run the 60 good lines and the bad ones once, for all tests that only look."""
    folder = tmp_path_factory.mktemp("undisturbed")
    file = write(folder / "mix.smi", nci_with_bad_ones())
    fresh = _fresh(server, administrator, template=template)
    database = next(fresh)
    qforge = command_line(folder, DATABASE_URL=libpq_url(database.url))
    said = json.loads(qforge("run", str(file), "--batch", "mix", "--json", status=3).stdout)
    yield Undisturbed(database, said)
    for _ in fresh:
        pass


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """Return the file that the undisturbed run ran."""
    return write(tmp_path / "mix.smi", nci_with_bad_ones())


def test_every_line_ends_as_exactly_one_record(undisturbed: Undisturbed) -> None:
    """No line is dropped, none counts twice, none stays running; repeated lines share a record."""
    said = undisturbed.said
    assert (said["read"], said["completed"], said["duplicates"]) == (69, 60, 2)
    assert (said["failed"], said["invalidated"]) == (6, 1)
    assert (said["lost"], said["running_elsewhere"], said["completed_before"]) == (0, 0, 0)

    assert statuses(undisturbed.engine) == {"completed": 60, "failed": 6, "invalidated": 1}
    events = counted(undisturbed.engine)
    assert events["calculation_started"] == 67
    assert events["batch_started"] == events["batch_completed"] == 1
    (batch,) = rows(undisturbed.engine, "batch_jobs")
    assert (batch["status"], batch["total_count"]) == ("completed", 67)
    assert (batch["successful_count"], batch["failed_count"]) == (60, 7)
    items = Counter(row["status"] for row in rows(undisturbed.engine, "batch_items"))
    assert items == {"completed": 60, "failed": 7}


def test_each_bad_line_says_why(undisturbed: Undisturbed) -> None:
    """A chemist finds the line in the file, and learns what is wrong with it."""
    problems = {problem["name"]: problem for problem in undisturbed.said["problems"]}

    assert problems["2110"]["number"] == 31
    assert "valence for atom # 9 N, 5" in problems["2110"]["reason"]
    assert "no electrons are left" in problems["proton"]["reason"]
    overfull = problems["too-many-electrons"]
    assert (overfull["kind"], overfull["error_type"]) == ("invalidated", None)
    assert "not to the charge -3" in overfull["reason"]
    kinds = Counter(problem["error_type"] for problem in problems.values())
    assert kinds == {"input_error": 6, None: 1}
    errors = rows(undisturbed.engine, "calculation_errors")
    assert {row["error_type"] for row in errors} == {"input_error"}
    assert all(row["user_action_required"] for row in errors)


def test_tables_rebuilt_from_the_log_are_identical(undisturbed: Undisturbed) -> None:
    """What the tables say is what the log says, to the last column."""
    engine = undisturbed.engine
    chemistry(engine)
    for projection in PROJECTIONS.values():
        with engine.connect() as connection:
            before = table_rows(connection, projection)

        rebuild(engine, projection)

        with engine.connect() as connection:
            assert table_rows(connection, projection) == before
        # Only tables of what a run does not do are empty.
        assert before or not counted(engine).keys() & projection.opens


def test_the_same_file_again_appends_not_a_single_event(
    undisturbed: Undisturbed, mix: Path, tmp_path: Path
) -> None:
    """Running a finished file again costs nothing and changes nothing; bad input stays refused."""
    before = counted(undisturbed.engine)

    said = json.loads(
        command_line(tmp_path, DATABASE_URL=undisturbed.url)(
            "run", str(mix), "--batch", "mix", "--json", status=3
        ).stdout
    )

    assert counted(undisturbed.engine) == before
    assert (said["read"], said["completed"], said["completed_before"]) == (69, 0, 60)
    assert (said["failed"], said["invalidated"], said["duplicates"]) == (6, 1, 2)
    assert {problem["name"] for problem in said["problems"]} >= {"2110", "proton"}


def test_another_batch_over_the_same_file_computes_nothing(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """A result is computed once for everybody; the new batch refers to it, and is complete."""
    file = write(tmp_path / "few.smi", [*nci(4), *OTHER_BAD])
    qforge("run", str(file), status=3)
    before, untouched = counted(engine), rows(engine, "calculations")

    qforge("run", str(file), "--batch", "other", status=3)

    assert counted(engine) - before == Counter(
        batch_started=1,
        batch_items_added=1,
        batch_item_reused=4,
        batch_item_refused=4,
        batch_completed=1,
    )
    assert rows(engine, "calculations") == untouched
    jobs = {row["name"]: row for row in rows(engine, "batch_jobs")}
    other = jobs["other"]
    assert (other["status"], other["successful_count"], other["failed_count"]) == (
        "completed",
        4,
        4,
    )
    items = [row for row in rows(engine, "batch_items") if row["batch_id"] == other["id"]]
    assert Counter(row["status"] for row in items) == {"completed": 4, "failed": 4}
    assert all(row["calculation_id"] for row in items)


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_run_killed_half_way_and_repeated_leaves_what_an_undisturbed_one_leaves(
    undisturbed: Undisturbed, mix: Path, database: Database, tmp_path: Path, whole_group: bool
) -> None:
    """SIGKILL costs the calculations in flight and nothing else; they are recorded as lost."""
    url = libpq_url(database.url)
    with running(tmp_path, "run", str(mix), "--batch", "mix", DATABASE_URL=url) as killed:
        until(completed_more_than(database.engine, 25), "the run is half-way")
        if whole_group:
            killed.signal_group(signal.SIGKILL)
        else:
            killed.process.kill()
        killed.end()
    in_flight = statuses(database.engine)["running"]
    done = counted(database.engine)["calculation_completed"]

    command_line(tmp_path, DATABASE_URL=url)("run", str(mix), "--batch", "mix", status=3)

    assert done < 60
    found, expected = chemistry(database.engine), chemistry(undisturbed.engine)
    for table, theirs in expected.items():
        assert different(found[table], theirs) == [], table
    events = counted(database.engine)
    assert events["calculation_lost"] == in_flight >= 1
    assert events["calculation_completed"] == 60, "nothing was computed twice"
    assert (events["batch_started"], events["batch_resumed"]) == (1, 1)
    lost = [
        row
        for row in rows(database.engine, "calculation_errors")
        if row["error_type"] == "compute_lost"
    ]
    assert len(lost) == in_flight
    attempts = Counter(row["attempt"] for row in rows(database.engine, "calculations"))
    assert attempts == {1: 67 - in_flight, 2: in_flight}


def test_two_runners_on_one_file_share_the_work(
    mix: Path, database: Database, tmp_path: Path
) -> None:
    """Nothing is computed twice, nothing left out, and both account for every line."""
    url = libpq_url(database.url)
    arguments = ("run", str(mix), "--batch", "mix", "--json", "--jobs", "1")
    with (
        running(tmp_path, *arguments, DATABASE_URL=url) as one,
        running(tmp_path, *arguments, DATABASE_URL=url) as two,
    ):
        ends = [one.end(), two.end()]

    assert [status for status, _, _ in ends] == [3, 3], ends
    said = [json.loads(out) for _, out, _ in ends]
    assert [each["read"] for each in said] == [69, 69]
    assert sum(each["completed"] for each in said) == 60
    assert all(each["completed"] for each in said), "one did everything"
    events = counted(database.engine)
    assert (events["calculation_started"], events["calculation_completed"]) == (67, 60)
    assert events["molecule_created"] == 61
    assert statuses(database.engine) == {"completed": 60, "failed": 6, "invalidated": 1}
    (batch,) = rows(database.engine, "batch_jobs")
    assert (batch["status"], batch["successful_count"]) == ("completed", 60)
    items = Counter(row["status"] for row in rows(database.engine, "batch_items"))
    assert items == {"completed": 60, "failed": 7}


def test_a_file_that_has_grown_resumes_its_batch(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """New lines join the batch of their file; old ones are not run again."""
    file = write(tmp_path / "growing.smi", nci(3))
    qforge("run", str(file))
    write(file, nci(5))

    qforge("run", str(file))

    events = counted(engine)
    assert (events["calculation_started"], events["batch_resumed"]) == (5, 1)
    (batch,) = rows(engine, "batch_jobs")
    assert (batch["status"], batch["successful_count"]) == ("completed", 5)
    assert len(rows(engine, "batch_items")) == 5
