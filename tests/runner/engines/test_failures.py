"""Every way to fail has its type in the catalogue, found by failing that way."""

import errno
import os
from collections.abc import Callable

import numpy as np
import pytest
from tblite.interface import Calculator

from quantum_forge.runner.engines.failures import Failure, classify, lost, timed_out
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.geometry import Geometry


def failure_of(provocation: Callable[[], object]) -> Failure:
    try:
        provocation()
    except Exception as error:
        return classify(error)
    raise AssertionError("nothing failed")


def raw_tblite(numbers: list[int], positions: list[list[float]], *, uhf: int = 0) -> None:
    """Ask tblite itself, past the checks that the engine makes first."""
    calculator = Calculator(
        "GFN2-xTB", np.array(numbers), np.array(positions), uhf=uhf, logger=lambda _: None
    )
    calculator.singlepoint()


def test_an_scf_that_does_not_converge_is_a_convergence_error_with_its_log() -> None:
    failure = failure_of(lambda: run_singlepoint(embed("O"), max_iterations=2))

    assert (failure.error_type, failure.error_code) == ("convergence_error", "SCF_NOT_CONVERGED")
    assert failure.message == "SCF not converged in 2 cycles"
    assert failure.scf_iterations == 2
    assert "total energy" in failure.stdout_log
    assert "EngineError" in (failure.stack_trace or "")


@pytest.mark.parametrize(
    ("provocation", "error_type", "code"),
    [
        (lambda: raw_tblite([92], [[0, 0, 0]]), "input_error", "UNSUPPORTED_ELEMENT"),
        (
            lambda: raw_tblite([1, 1], [[0.0, 0, 0], [0, 0, 0]]),
            "input_error",
            "ATOMS_TOO_CLOSE",
        ),
        (
            lambda: raw_tblite([1, 1], [[0.0, 0, 0], [0, 0, 1.4]], uhf=1),
            "input_error",
            "IMPOSSIBLE_MULTIPLICITY",
        ),
        (
            lambda: raw_tblite([1, 1], [[0.0, 0, 0], [0, 0, float("nan")]]),
            "convergence_error",
            "EIGENSOLVER_FAILED",
        ),
        (lambda: run_singlepoint(embed("O"), solvent="beer"), "input_error", "UNKNOWN_SOLVENT"),
        (
            lambda: run_singlepoint(Geometry((1,), ((0.0, 0.0, float("inf")),))),
            "input_error",
            "BAD_POSITION",
        ),
        (lambda: embed("C1#CC1"), "input_error", "NO_CONFORMER"),
        (lambda: np.empty(1 << 50), "resource_error", "OUT_OF_MEMORY"),
        (lambda: bytearray(1 << 62), "resource_error", "OUT_OF_MEMORY"),
        (lambda: os.write(-1, b""), "unknown_error", "EBADF"),
        (lambda: int("one"), "unknown_error", "ValueError"),
    ],
)
def test_a_real_failure_has_its_type(
    provocation: Callable[[], object], error_type: str, code: str
) -> None:
    failure = failure_of(provocation)

    assert (failure.error_type, failure.error_code) == (error_type, code)
    assert failure.message


def test_a_full_disk_is_a_lack_of_resources_and_a_reset_connection_is_chance() -> None:
    full = classify(OSError(errno.ENOSPC, "No space left on device"))
    reset = classify(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    assert (full.error_type, full.error_severity) == ("resource_error", "critical")
    assert (reset.error_type, reset.user_action_required) == ("random_error", False)


def test_only_what_a_retry_cannot_mend_asks_for_the_user() -> None:
    assert failure_of(lambda: embed("C1CC")).user_action_required
    assert not timed_out(30).user_action_required
    assert not lost("killed").user_action_required


def test_a_process_that_died_without_memory_says_so() -> None:
    assert lost("gone").error_type == "compute_lost"
    assert lost("gone", stack_trace="Error allocating 8 bytes").error_type == "resource_error"
