"""A structure that a toolkit made is checked before its energy counts."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from quantum_forge.runner.engines import calculation
from quantum_forge.runner.engines.calculation import calculate
from quantum_forge.runner.engines.strain import LARGEST_FORCE, bonds_of, broken, largest_force
from quantum_forge.runner.engines.tasks import Completed, Outcome, Task
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.errors import EngineError
from quantum_forge.runner.molecules.conformers import MMFF94, UFF, build
from quantum_forge.runner.molecules.geometry import Geometry
from tests.conftest import Qforge
from tests.support.campaigns import rows, write


def computed(smiles: str, **settings: Any) -> Completed:
    outcome: Outcome = calculate(Task(id=uuid4(), smiles=smiles, **settings))
    assert isinstance(outcome, Completed)
    return outcome


def test_a_structure_with_large_forces_is_made_anew_by_uff() -> None:
    """N2 has 1.46 Å after MMFF94, and lies 103 kcal/mol above UFF's structure."""
    trusted = run_singlepoint(build("N#N", force_fields=(MMFF94,)).geometry)

    outcome = computed("N#N")

    assert outcome.geometry_source == "ETKDGv3+UFF"
    assert outcome.geometry_warning is None
    assert outcome.result.energy < trusted.energy - 0.1


def test_a_good_structure_of_mmff94_is_kept() -> None:
    outcome = computed("CCO")

    assert outcome.geometry == build("CCO").geometry
    assert (outcome.geometry_source, outcome.geometry_warning) == ("ETKDGv3+MMFF94", None)


def test_what_no_force_field_gets_right_is_flagged() -> None:
    """The result counts, and says that it is doubtful and what to do."""
    outcome = computed("O=C=O")

    force = largest_force(outcome.result)
    assert force is not None
    assert force > LARGEST_FORCE
    assert outcome.geometry_warning is not None
    assert f"{force:.3f} Eh/Bohr" in outcome.geometry_warning
    assert "--opt" in outcome.geometry_warning


def test_a_geometry_that_was_given_is_taken_as_it_is() -> None:
    """A training set may want it far from a minimum; its largest force is recorded."""
    stretched = Geometry((7, 7), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.46)))

    outcome = computed("N#N", geometry=stretched)

    assert outcome.geometry == stretched
    assert (outcome.geometry_source, outcome.geometry_warning) == (None, None)


def test_a_broken_bond_is_flagged() -> None:
    """Methanol whose hydroxyl hydrogen has left is not the molecule of the SMILES."""
    conformer = build("CO")
    hydrogen = next(b for a, b in conformer.bonds if conformer.geometry.numbers[a] == 8)
    positions = list(conformer.geometry.positions)
    x, y, z = positions[hydrogen]
    positions[hydrogen] = (x, y, z + 3.0)
    apart = Geometry(conformer.geometry.numbers, tuple(positions))

    said = broken(apart, conformer.bonds)

    assert said is not None
    assert said.startswith("the bond O2–H6 is")
    assert broken(conformer.geometry, conformer.bonds) is None
    assert set(conformer.bonds) == set(bonds_of(conformer.geometry))


def test_bonds_of_a_geometry_are_pairs_of_near_atoms_without_metals() -> None:
    """Two H2 molecules 5 Å apart, and lithium between the atoms of one."""
    places = [(0.0, 0.0, 0.0), (0.74, 0.0, 0.0), (5.0, 0.0, 0.0), (5.74, 0.0, 0.0), (0.3, 1.0, 0.0)]
    geometry = Geometry((1, 1, 1, 1, 3), tuple(places))

    assert bonds_of(geometry) == [(0, 1), (2, 3)]
    assert bonds_of(Geometry((2,), ((0.0, 0.0, 0.0),))) == []


@pytest.mark.parametrize("given", [False, True], ids=["smiles", "geometry"])
def test_an_optimisation_that_ends_as_another_molecule_is_flagged(given: bool) -> None:
    """Without a solvent, the zwitterion of glycine passes its proton on."""
    smiles = "[NH3+]CC(=O)[O-]"
    geometry = build(smiles).geometry if given else None

    outcome = computed(smiles, geometry=geometry, optimization_level="normal")

    assert outcome.geometry_warning is not None
    assert outcome.geometry_warning.startswith("the bond N1–H6 is")


def test_an_scf_that_fails_is_tried_at_the_structure_of_uff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = build("CCO").geometry

    def fails_first(geometry: Geometry, **settings: Any) -> object:
        if geometry == first:
            raise EngineError("SCF not converged", stdout_log="", scf_iterations=250)
        return run_singlepoint(geometry, **settings)

    monkeypatch.setattr(calculation, "run_singlepoint", fails_first)

    assert computed("CCO").geometry_source == f"ETKDGv3+{UFF}"


def test_a_run_records_and_shows_what_is_doubtful(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    write(tmp_path / "some.smi", ["O=C=O dioxide", "CCO ethanol"])

    said = qforge_here("run", "some.smi", "--json")

    (warning,) = json.loads(said.stdout)["warnings"]
    assert warning["name"] == "dioxide"
    assert "--opt" in warning["text"]
    columns = ["geometry_source", "geometry_warning", "max_force"]
    found = {row["geometry_source"]: row for row in rows(engine, "calculations", columns)}
    assert found["ETKDGv3+MMFF94"]["geometry_warning"] is None
    assert 0 < found["ETKDGv3+MMFF94"]["max_force"] < LARGEST_FORCE
    assert found["ETKDGv3+UFF"]["geometry_warning"] == warning["text"]
    assert found["ETKDGv3+UFF"]["max_force"] > LARGEST_FORCE
