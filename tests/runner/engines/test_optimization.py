"""tblite with ASE's L-BFGS reaches the minima that xtb's optimiser reaches."""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import Engine

from quantum_forge.runner.engines import optimization
from quantum_forge.runner.engines.calculation import calculate
from quantum_forge.runner.engines.methods import LEVELS
from quantum_forge.runner.engines.tasks import Invalidated, Task
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.engines.xtb import program
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.geometry import Geometry
from tests.conftest import Qforge
from tests.support.campaigns import rows, write

needs_xtb = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="xtb is not installed (apt-get install xtb)"
)

# SMILES, charge, multiplicity.
MOLECULES = [
    ("[H][H]", 0, 1),
    ("O", 0, 1),
    ("N#N", 0, 1),
    ("O=C=O", 0, 1),
    ("N#[N+][O-]", 0, 1),
    ("O=S=O", 0, 1),
    ("C", 0, 1),
    ("C=C", 0, 1),
    ("C#C", 0, 1),
    ("C=O", 0, 1),
    ("CO", 0, 1),
    ("C#N", 0, 1),
    ("CCl", 0, 1),
    ("CBr", 0, 1),
    ("FC(F)F", 0, 1),
    ("OO", 0, 1),
    ("P", 0, 1),
    ("S", 0, 1),
    ("[SiH4]", 0, 1),
    ("OB(O)O", 0, 1),  # its conformer has a plane of symmetry that its minimum has not
    ("[CH3]", 0, 2),
    ("[O][O]", 0, 3),
    ("[OH-]", -1, 1),
    ("[NH4+]", 1, 1),
    ("CC(=O)[O-]", -1, 1),
    ("c1ccccc1", 0, 1),
    ("c1ccncc1", 0, 1),
    ("c1ccoc1", 0, 1),
    ("NC=O", 0, 1),
    ("CS(C)=O", 0, 1),
]


@needs_xtb
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_thirty_molecules_reach_the_energies_of_xtb(step: int) -> None:
    """Within 1e-4 Eh, from the same start, whatever the bonds, the charge and the spin.

    Every third molecule shows it each time; all of them take three times as long.
    """
    assert len(MOLECULES) == 30
    chosen = MOLECULES[::step]
    assert any(charge for _, charge, _ in chosen)
    assert any(multiplicity > 1 for *_, multiplicity in chosen)
    different = {}
    for smiles, charge, multiplicity in chosen:
        start = embed(smiles)
        state: dict[str, Any] = {"charge": charge, "multiplicity": multiplicity}
        theirs, _ = program.run(start, optimization_level="tight", **state)
        ours, _ = optimization.optimise(start, level="tight", **state)
        assert ours.is_converged, smiles
        if abs(ours.energy - theirs.energy) > 1e-4:
            different[smiles] = (ours.energy, theirs.energy)

    assert not different


@needs_xtb
@pytest.mark.parametrize(
    ("method", "solvent"), [("GFN1-xTB", None), ("GFN2-xTB", "water"), ("GFN1-xTB", "toluene")]
)
def test_methods_and_solvents_reach_the_energy_of_xtb(method: str, solvent: str | None) -> None:
    start = embed("NC=O")

    theirs, _ = program.run(start, method=method, solvent=solvent, optimization_level="tight")
    ours, _ = optimization.optimise(start, method=method, solvent=solvent, level="tight")

    assert ours.energy == pytest.approx(theirs.energy, abs=1e-4)


def test_the_result_is_the_single_point_of_the_returned_geometry() -> None:
    """Energy, charges and forces belong to the positions that are recorded with them."""
    start = embed("CCO")

    result, geometry = optimization.optimise(start, level="normal")

    again = run_singlepoint(geometry)
    assert result.energy == pytest.approx(again.energy, abs=1e-10)
    assert np.allclose(result.gradient or (), again.gradient or (), atol=1e-10)
    assert result.charges == pytest.approx(again.charges, abs=1e-10)
    assert result.energy < run_singlepoint(start).energy
    assert result.optimization_cycles is not None
    assert result.optimization_cycles > 1


def test_a_finer_level_ends_closer_to_the_minimum() -> None:
    start = embed("CCO")

    norms = [optimization.optimise(start, level=level)[0].gradient_norm for level in LEVELS]

    assert all(
        norm is not None and norm < optimization.CONVERGENCE[level].gradient_norm
        for level, norm in zip(LEVELS, norms, strict=True)
    )


def test_a_lone_atom_is_its_own_minimum() -> None:
    result, geometry = optimization.optimise(Geometry((2,), ((1.0, 2.0, 3.0),)), level="extreme")

    assert geometry.positions == ((1.0, 2.0, 3.0),)
    assert (result.optimization_cycles, result.is_converged) == (0, True)


def test_an_optimisation_that_stops_early_is_invalidated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimization, "MOST_STEPS", (2, 0))

    outcome = calculate(Task(id=uuid4(), smiles="CCO", optimization_level="extreme"))

    assert isinstance(outcome, Invalidated)
    assert outcome.reason == "the geometry did not converge in 2 cycles"


def test_a_campaign_optimises_with_the_default_engine(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """`--opt` needs no xtb, and is a calculation of its own beside the single point."""
    write(tmp_path / "some.smi", ["CCO ethanol"])

    qforge("run", "some.smi")
    said = json.loads(qforge("run", "some.smi", "--opt", "normal", "--json").stdout)

    assert said["completed"] == 1
    found = {row["optimization_level"]: row for row in rows(engine, "calculations")}
    assert set(found) == {None, "normal"}
    assert found["normal"]["energy"] < found[None]["energy"]
    assert found["normal"]["program"] == "tblite"
