"""However an attempt at a calculation is left, the log says how it ended, once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import RecordedEvent, Stream
from quantum_forge.eventstore.base.errors import CalculationEnded, EventRefused, VersionConflict
from quantum_forge.eventstore.log.read import read_stream
from quantum_forge.eventstore.recording.calculation import CalculationRecording
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.engines.failures import classify
from quantum_forge.schema.domains.calculations import CalculationLost
from tests.support.appending import TENANT
from tests.support.spooling import away, connect, here

MOLECULE = UUID(int=3, version=4)
RESULT: dict[str, Any] = {
    "energy": -5.07,
    "homo": -10.1,
    "lumo": 2.2,
    "gap": 12.3,
    "dipole": 2.2,
    "convergence_status": "converged",
    "is_converged": True,
    "gradient_norm": 0.01,
    "cpu_time_seconds": 0.1,
    "xyz_sha256": "0" * 64,
    "atoms": [["O", 8, -0.6, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0]],
}


@pytest.fixture
def recorder(engine: Engine, tmp_path: Path) -> Recorder:
    """Return a recorder whose database answers."""
    return here(engine, tmp_path)


def history(engine: Engine, calculation: CalculationRecording) -> list[RecordedEvent]:
    """What the log has of it."""
    with engine.connect() as connection:
        return list(read_stream(connection, Stream(TENANT, "calculation", calculation.id)))


def types(engine: Engine, calculation: CalculationRecording) -> list[str]:
    """The same, as types."""
    return [event.event_type for event in history(engine, calculation)]


def test_a_result_is_recorded_with_what_the_attempt_knows_by_itself(
    recorder: Recorder, engine: Engine
) -> None:
    """Ids, program, time."""
    with recorder.calculation(
        MOLECULE, method="GFN2-xTB", program="tblite", program_version="0.4"
    ) as calculation:
        assert types(engine, calculation) == ["calculation_started"]
        calculation.complete(RESULT)

    started, completed = history(engine, calculation)
    assert started.data["method"] == "GFN2-xTB"
    assert completed.event_type == "calculation_completed"
    assert completed.data["molecule_id"] == str(MOLECULE)
    assert completed.data["program"] == "tblite"
    assert completed.data["energy"] == -5.07
    assert completed.data["wall_time_seconds"] > 0


def test_a_result_that_lacks_a_field_names_it_and_fails_the_attempt(
    recorder: Recorder, engine: Engine
) -> None:
    """Half a result is none."""
    short = {name: value for name, value in RESULT.items() if name != "energy"}

    with (
        pytest.raises(EventRefused, match="energy"),
        recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation,
    ):
        calculation.complete(short)

    assert types(engine, calculation) == ["calculation_started", "calculation_failed"]


ENDS: dict[str, Callable[[CalculationRecording], None]] = {
    "calculation_completed": lambda calculation: calculation.complete(RESULT),
    "calculation_failed": lambda calculation: calculation.fail("no convergence"),
    "calculation_invalidated": lambda calculation: calculation.invalidate("a negative gap"),
    "calculation_lost": lambda calculation: calculation.lose("the node went down"),
}


@pytest.mark.parametrize("first", ENDS)
def test_it_ends_once(recorder: Recorder, engine: Engine, first: str) -> None:
    """The first end stands, and the second is an error that says so."""
    with recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation:
        ENDS[first](calculation)
        for end in ENDS.values():
            with pytest.raises(CalculationEnded, match=f"already ended \\({first}\\)"):
                end(calculation)

    assert types(engine, calculation) == ["calculation_started", first]


def test_of_two_threads_that_end_it_one_is_told_so(recorder: Recorder, engine: Engine) -> None:
    """Not that a version conflicts: the second waits for the first."""
    barrier, outcomes = threading.Barrier(8), list[str]()
    with recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation:

        def end() -> None:
            barrier.wait()
            try:
                calculation.fail("SCF not converged")
                outcomes.append("ended")
            except Exception as error:
                outcomes.append(type(error).__name__)

        threads = [threading.Thread(target=end) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(outcomes) == ["CalculationEnded"] * 7 + ["ended"]
    assert types(engine, calculation) == ["calculation_started", "calculation_failed"]


def test_an_exception_is_a_failure_of_unknown_type_and_goes_on(
    recorder: Recorder, engine: Engine
) -> None:
    """With its stack trace; the caller still gets the exception."""
    with (
        pytest.raises(ZeroDivisionError),
        recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation,
    ):
        _ = 1 / 0

    failed = history(engine, calculation)[-1]
    assert failed.data["error_type"] == "unknown_error"
    assert failed.data["error_message"] == "division by zero"
    assert failed.data["error_code"] == "ZeroDivisionError"
    assert "1 / 0" in failed.data["stack_trace"]


def test_a_classifier_says_what_an_exception_means(recorder: Recorder, engine: Engine) -> None:
    """Such as the runner's own."""
    with (
        pytest.raises(MemoryError),
        recorder.calculation(MOLECULE, method="GFN2-xTB", classify=classify) as calculation,
    ):
        raise MemoryError

    failed = history(engine, calculation)[-1]
    assert failed.data["error_type"] == "resource_error"
    assert failed.data["error_code"] == "OUT_OF_MEMORY"
    assert failed.data["user_action_required"] is True


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_a_loss(
    recorder: Recorder, engine: Engine, interruption: type[BaseException]
) -> None:
    """Nothing is known about the calculation itself."""
    with (
        pytest.raises(interruption),
        recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation,
    ):
        raise interruption

    assert types(engine, calculation) == ["calculation_started", "calculation_lost"]


def test_leaving_without_an_end_is_a_loss(recorder: Recorder, engine: Engine) -> None:
    """Nothing stays running for ever."""
    with recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation:
        pass

    lost = history(engine, calculation)[-1]
    assert lost.event_type == "calculation_lost"
    assert "without a result" in lost.data["error_message"]


def overruled(recorder: Recorder, calculation: CalculationRecording) -> CalculationRecording:
    """Record, as somebody else, that it is lost."""
    lost = CalculationLost(
        molecule_id=MOLECULE, batch_id=None, attempt=1, error_message="no sign of it"
    )
    recorder.record_all(recorder.new(calculation.id, lost))
    return calculation


def test_a_result_that_comes_after_its_loss_was_recorded_is_a_conflict(
    recorder: Recorder, engine: Engine
) -> None:
    """It is not appended behind what may be the next attempt by now."""
    calculation = recorder.calculation(MOLECULE, method="GFN2-xTB")

    with pytest.raises(VersionConflict), calculation:
        overruled(recorder, calculation).complete(RESULT)

    assert types(engine, calculation) == ["calculation_started", "calculation_lost"]


def test_an_exception_is_not_hidden_by_the_conflict_of_its_record(recorder: Recorder) -> None:
    """That is a remark on it."""
    calculation = recorder.calculation(MOLECULE, method="GFN2-xTB")

    with pytest.raises(ZeroDivisionError) as raised, calculation:
        _ = overruled(recorder, calculation).attempt / 0

    assert "Its failure was not recorded" in raised.value.__notes__[0]


def test_a_next_attempt_follows_in_the_same_stream(recorder: Recorder, engine: Engine) -> None:
    """With the number and the version that it is given."""
    with recorder.calculation(MOLECULE, method="GFN2-xTB") as first:
        first.fail("no convergence")
    with recorder.calculation(
        MOLECULE,
        method="GFN2-xTB",
        calculation_id=first.id,
        expected_version=first.version,
        attempt=2,
    ) as second:
        second.complete(RESULT)

    assert types(engine, second) == [
        *("calculation_started", "calculation_failed"),
        *("calculation_started", "calculation_completed"),
    ]
    assert second.version == 4


def test_a_calculation_survives_an_outage_at_any_of_its_events(
    engine: Engine, tmp_path: Path
) -> None:
    """Begun here and ended in the spool, or the whole of it spooled."""
    nobody = away(tmp_path)
    done = []
    for start, end in [(True, True), (True, False), (False, False)]:
        with here(engine, tmp_path / str(uuid4())) as recorder:
            if not start:
                connect(recorder, nobody.engine)
            with recorder.calculation(MOLECULE, method="GFN2-xTB") as calculation:
                if not end:
                    connect(recorder, nobody.engine)
                calculation.complete(RESULT)
            assert calculation.version == 2
            connect(recorder, engine)
            recorder.settle()
            done.append(calculation)

    for calculation in done:
        assert types(engine, calculation) == ["calculation_started", "calculation_completed"]
