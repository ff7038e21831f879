"""The xtb executable as an engine: real runs, and none of its traps."""

import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.engines import calculation
from quantum_forge.runner.engines.failures import classify
from quantum_forge.runner.engines.methods import XTB
from quantum_forge.runner.engines.tasks import Completed, Failed, Invalidated, Task
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.engines.xtb import program
from quantum_forge.runner.errors import EngineError, InputError, ProgramMissing
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.schema.domains.calculations import ErrorType
from tests.conftest import Qforge
from tests.support.campaigns import rows, statuses, write

WATER = Geometry((8, 1, 1), ((0.0, 0.0, 0.117), (0.0, 0.757, -0.467), (0.0, -0.757, -0.467)))

pytestmark = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="xtb is not installed (apt-get install xtb)"
)


def task(**settings: Any) -> Task:
    return Task(id=uuid4(), smiles="O", geometry=WATER, engine=XTB, **settings)


@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
def test_xtb_and_tblite_agree(method: str) -> None:
    ours, geometry = program.run(WATER, method=method)
    theirs = run_singlepoint(WATER, method=method)

    assert geometry == WATER
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-6)
    assert ours.charges == pytest.approx(theirs.charges, abs=1e-4)
    assert ours.dipole == pytest.approx(theirs.dipole, abs=1e-3)
    assert (ours.homo, ours.lumo, ours.gap) == pytest.approx(
        (theirs.homo, theirs.lumo, theirs.gap), abs=1e-3
    )
    assert ours.gradient is not None
    assert theirs.gradient is not None
    for mine, other in zip(ours.gradient, theirs.gradient, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def test_an_optimisation_ends_where_the_forces_vanish() -> None:
    result, geometry = program.run(WATER, optimization_level="tight", solvent="water")

    assert geometry != WATER
    assert result.optimization_cycles is not None
    assert result.optimization_cycles > 1
    forces = result.forces()
    assert forces is not None
    assert math.hypot(*(part for row in forces for part in row)) < 1e-3
    again, _ = program.run(geometry, solvent="water")
    assert again.energy == pytest.approx(result.energy, abs=1e-7)


def test_what_it_used_is_counted_by_the_kernel() -> None:
    result, _ = program.run(WATER)

    assert result.memory_peak_mb is not None
    assert 5 < result.memory_peak_mb < 5_000
    assert result.wall_time_seconds is not None
    assert result.wall_time_seconds > 0
    assert result.cpu_time_seconds is not None
    assert result.cpu_time_seconds > 0
    assert (result.program, result.program_version) == ("xtb", program.version())


def test_an_impossible_charge_and_spin_are_invalidated() -> None:
    charged = calculation.calculate(task(charge=9, multiplicity=2))
    spinning = calculation.calculate(task(multiplicity=2))

    assert isinstance(charged, Invalidated)
    assert isinstance(spinning, Invalidated)
    assert spinning.reason == "multiplicity 2 does not fit 10 electrons"


def test_atoms_on_top_of_each_other_are_an_input_error() -> None:
    close = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.001)))

    with pytest.raises(InputError, match="0\\.001 Å apart"):
        program.run(close)


def test_an_unknown_solvent_is_an_input_error() -> None:
    with pytest.raises(InputError) as failed:
        program.run(WATER, solvent="beer")

    assert classify(failed.value).error_code == "UNKNOWN_SOLVENT"


def test_methods_that_it_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match="IPEA1"):
        program.run(WATER, method="IPEA1-xTB")


def fake(directory: Path, script: str) -> None:
    """An executable named xtb that does something else."""
    path = directory / "xtb"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_a_timeout_ends_the_program_and_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, f"sleep 600 & echo $! > {tmp_path}/grandchild; echo $$ > {tmp_path}/child; wait")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with WorkerPool(1) as pool:
        pool.submit(task(timeout_s=1.0))
        (outcome,) = pool.wait()

    assert isinstance(outcome, Failed)
    assert outcome.failure.error_type is ErrorType.TIMEOUT
    pids = [int((tmp_path / name).read_text()) for name in ("child", "grandchild")]
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_a_program_that_crashes_is_a_failure_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "kill -SEGV $$")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(EngineError, match="SIGSEGV"):
        program.run(WATER)


def test_each_run_has_a_folder_of_its_own_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    first, _ = program.run(WATER, method="GFN1-xTB")
    second, _ = program.run(WATER, method="GFN2-xTB")

    assert first.energy != second.energy
    assert list(tmp_path.iterdir()) == []


def test_a_campaign_with_xtb_optimises_and_records(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    write(tmp_path / "some.smi", ["O water", "CCO ethanol", "[H][H] hydrogen"])
    arguments = ("run", "some.smi", "--engine", "xtb", "--opt", "normal", "--solvent", "water")

    first = qforge_here(*arguments, "--json")
    second = qforge_here(*arguments, "--json")

    assert json.loads(first.stdout)["completed"] == 3
    assert json.loads(second.stdout)["completed_before"] == 3
    assert statuses(engine) == {"completed": 3}
    for row in rows(engine, "calculations"):
        assert (row["program"], row["optimization_level"]) == ("xtb", "normal")
        assert row["solvation_model"] == "ALPB(water)"
    for row in rows(engine, "calculation_execution_metrics"):
        assert row["optimization_cycles"] >= 1
        assert row["memory_peak_mb"] > 1
    assert all(abs(row["force_z"]) < 1e-2 for row in rows(engine, "atomic_properties"))


def test_engines_and_levels_are_different_calculations() -> None:
    molecule = uuid4()
    plans = [
        Plan(batch="", engine=engine, optimization_level=level)
        for engine, level in (("tblite", None), ("xtb", None), ("xtb", "normal"), ("xtb", "tight"))
    ]

    assert len({plan.calculation_id(molecule, None) for plan in plans}) == 4


def test_without_xtb_it_is_said_how_to_get_it(
    qforge_here: Qforge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "some.smi", ["O water"])
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    said = qforge_here("run", "some.smi", "--engine", "xtb", status=2)

    assert "apt-get install xtb" in said.stderr
    with pytest.raises(ProgramMissing):
        program.version()


def test_a_worker_completes_a_task_of_xtb() -> None:
    with WorkerPool(1) as pool:
        pool.submit(task(optimization_level="loose", timeout_s=60.0))
        (outcome,) = pool.wait()

    assert isinstance(outcome, Completed), outcome
    assert outcome.geometry != WATER
