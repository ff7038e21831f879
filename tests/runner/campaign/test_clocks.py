"""Wrong clocks of clients change no decision: that goes by the server's clock and by positions."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

import quantum_forge.runner.workers.liveness
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.campaign.triage import identified
from quantum_forge.runner.inputs.files import read_inputs
from quantum_forge.runner.retries.backoff import Backoff
from quantum_forge.schema.domains.calculations import CalculationStarted
from tests.runner.retries.test_retry import importable, retried  # noqa: F401  # a fixture
from tests.support.campaigns import campaign, counted, write
from tests.support.clocks import shift_clock

QUICK = "tests.support.runner_functions:nothing_is_in_time"


def begun_elsewhere(engine: Engine, file: Path, *, timeout_seconds: float) -> None:
    """Record that another host has begun the calculation of a file's only molecule."""
    elsewhere = {"host": "elsewhere", "pid": 1, "process_started": "then"}
    recorder = Recorder(engine, Author(tenant_id=DEFAULT_TENANT_ID, more=elsewhere))
    (source,) = read_inputs(file)
    known = identified(DEFAULT_TENANT_ID, Plan(batch=file.stem), source)
    started = CalculationStarted(
        molecule_id=known.molecule_id,
        batch_id=None,
        attempt=1,
        charge=0,
        multiplicity=1,
        method="GFN2-xTB",
        program="tblite",
        program_version="0.4",
        timeout_seconds=timeout_seconds,
    )
    recorder.record_all(recorder.new(known.calculation_id, started))


@pytest.mark.parametrize(("theirs", "ours"), [(0, 3600), (-3600, 0), (3600, -3600), (-9e4, 9e4)])
def test_no_clock_of_a_client_declares_a_running_attempt_lost(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: float, ours: float
) -> None:
    """Whoever's clock is wrong, and however much: the attempt may still record its result."""
    # Given: an attempt that another host has just begun
    file = write(tmp_path / "one.smi", ["C methane"])
    shift_clock(monkeypatch, seconds=theirs)
    begun_elsewhere(engine, file, timeout_seconds=300)

    # When: this host comes to the same calculation
    shift_clock(monkeypatch, seconds=ours)
    tally = campaign(engine, file, function=QUICK)
    retried(engine, "nothing_is_in_time")

    # Then: it is left to its process
    assert tally.elsewhere == 1
    events = counted(engine)
    assert (events["calculation_lost"], events["calculation_started"]) == (0, 1)


@pytest.mark.parametrize("theirs", [0, 9e4])
def test_an_attempt_whose_time_is_over_is_lost_whatever_its_host_took_for_the_time(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: float
) -> None:
    """The server's clock says that it is over, although the attempt began tomorrow."""
    monkeypatch.setattr(
        quantum_forge.runner.workers.liveness,
        "GRACE",
        0 * quantum_forge.runner.workers.liveness.GRACE,
    )
    file = write(tmp_path / "one.smi", ["C methane"])
    shift_clock(monkeypatch, seconds=theirs)
    begun_elsewhere(engine, file, timeout_seconds=0.001)

    shift_clock(monkeypatch, seconds=-9e4)
    tally = campaign(engine, file, function=QUICK)

    assert (tally.elsewhere, tally.failed) == (0, 1)
    events = counted(engine)
    assert (events["calculation_lost"], events["calculation_started"]) == (1, 2)


@pytest.mark.parametrize("shift", [-9e4, 9e4])
def test_a_failure_of_a_host_with_a_wrong_clock_is_tried_again_like_any_other(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    """By the next campaign, and by a retry when the delay is over by the server's clock."""
    # Given: what failed on a host with a wrong clock
    file = write(tmp_path / "one.smi", ["C methane"])
    shift_clock(monkeypatch, seconds=shift)
    campaign(engine, file, function=QUICK)
    shift_clock(monkeypatch, seconds=0)

    # When: a campaign, and then a retry, comes to it
    campaign(engine, file, function=QUICK)
    assert counted(engine)["calculation_started"] == 2
    done = retried(engine, "nothing_is_in_time")

    # Then: each tried it again
    assert done.attempts == 2
    assert counted(engine)["calculation_started"] == 4


@pytest.mark.parametrize("shift", [-9e4, 9e4])
def test_a_retry_is_not_due_before_its_delay_is_over_by_the_clock_of_the_server(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    """Nor does a host a day behind wait for a day."""
    file = write(tmp_path / "one.smi", ["C methane"])
    campaign(engine, file, function=QUICK)

    shift_clock(monkeypatch, seconds=shift)
    done = retried(engine, "nothing_is_in_time", Backoff())

    assert (done.attempts, done.scheduled) == (0, 1)
    (waiting,) = done.waiting
    assert waiting.retry_at is not None
    assert waiting.failed_at is not None
    assert 30 <= (waiting.retry_at - waiting.failed_at).total_seconds() <= 60
