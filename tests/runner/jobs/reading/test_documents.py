"""Conditions that metadata.json and results.json state, under any name and any number of times."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents
from quantum_forge.runner.jobs.reading.documents import read_documents
from quantum_forge.runner.jobs.reading.folders import Folder, discover
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.jobs.reading.reader import read_job
from quantum_forge.runner.jobs.reading.statements import StatedConditions, read_conditions
from quantum_forge.runner.molecules.geometry import Geometry

WATER = Geometry((8, 1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.05), (0.93, 0.0, -0.24)))
ENERGY = -5.064963577368


def conditions(metadata: dict[str, Any], results: dict[str, Any] | None = None) -> StatedConditions:
    return read_conditions({"metadata.json": metadata, "results.json": results or {}})


def job(folder: Path, metadata: dict[str, Any], results: dict[str, Any]) -> Job:
    """Of water and two documents alone."""
    folder.mkdir(exist_ok=True)
    (folder / "mol.xyz").write_text(WATER.xyz_text())
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "results.json").write_text(json.dumps(results))
    (found,) = discover(folder)
    assert isinstance(found, Folder)
    return read_job(FolderContents(found))


@pytest.mark.parametrize(
    ("stated", "solvation"),
    [
        ({"solvation_model": "alpb", "solvent": "water"}, "ALPB(water)"),
        ({"solvation_model": "ALPB(water)", "solvent": "h2o"}, "ALPB(water)"),
        ({"solvation": "gbsa", "solvent": "toluene"}, "GBSA(toluene)"),
        ({"alpb": "water"}, "ALPB(water)"),
        ({"gbsa": "water"}, "GBSA(water)"),
        ({"alpb": True, "solvent": "dmso"}, "ALPB(dmso)"),
        ({"solvent": {"model": "alpb", "name": "water", "epsilon": 78.4}}, "ALPB(water)"),
        ({"settings": {"solvation": {"type": "GBSA", "solvent": "thf"}}}, "GBSA(thf)"),
        ({"solvent": "water"}, "ALPB(water)"),
        ({"solvent": "water", "gbsa": False, "solvation_energy": -0.01}, "ALPB(water)"),
        ({"solvent": "gas phase"}, "none"),
        ({"solvent": None}, None),
    ],
)
def test_a_solvation_is_model_and_solvent_wherever_they_stand(
    stated: dict[str, Any], solvation: str | None
) -> None:
    found = conditions(stated)

    assert found.solvation_model == solvation
    assert (found.contradictions, found.unclear) == ((), ())


@pytest.mark.parametrize(
    ("stated", "charge", "multiplicity"),
    [
        ({"net_charge": 1, "spin_multiplicity": "2"}, 1, 2),
        ({"charge": "+1", "uhf": 1}, 1, 2),
        ({"parameters": {"chrg": -1.0, "unpaired electrons": 1}}, -1, 2),
        ({"Total Charge": 0, "charge": "0", "multiplicity": "triplet"}, 0, 3),
        ({"spin": 0}, None, 1),
        ({"spin": 0.5}, None, 2),
        ({"spin": "3/2"}, None, 4),
        ({"spin": 1, "multiplicity": 3}, None, 3),
        ({"partial_charges": [0.1, -0.1], "charge_source": "given"}, None, None),
    ],
)
def test_charge_and_spin_are_read_under_any_name(
    stated: dict[str, Any], charge: int | None, multiplicity: int | None
) -> None:
    found = conditions(stated)

    assert (found.charge, found.multiplicity) == (charge, multiplicity)
    assert (found.contradictions, found.unclear) == ((), ())


@pytest.mark.parametrize(
    "stated",
    [
        {"charge": 1.5},
        {"charge": "one"},
        {"charge": True},
        {"input": {"net_charge": "high"}},
        {"state_charge": 1},
        {"multiplicity": 0},
        {"spin": 1},
        {"spin": -1},
        {"spin_state": 3},
        {"solvation_model": "alpb"},
        {"solvation_model": "wet"},
        {"solvated": True},
        {"solvent": 80.1},
        {"solvent_id": "water"},
        {"solvent": {"name": "water", "reference": "bar1M"}},
        {"electronic_temperature": "hot"},
        {"temperature": 5000},
        {"optimization_level": 3.5},
    ],
    ids=str,
)
def test_what_names_a_condition_and_is_not_understood_does_not_count(
    stated: dict[str, Any], tmp_path: Path
) -> None:
    """The reason names the key, with its path."""
    found = job(tmp_path / "job", stated, {"energy": ENERGY})

    (key, value) = next(iter(stated.items()))
    path = f"{key}.{list(value)[-1]}" if isinstance(value, dict) else key
    assert f"metadata.json ({path}) is " in (found.refused or "")


@pytest.mark.parametrize(
    ("metadata", "results", "said"),
    [
        (
            {"charge": 1},
            {"charge": 0},
            "charge is 1 in metadata.json (charge), and 0 in results.json (charge)",
        ),
        (
            {"charge": 0, "molecule": {"net_charge": 1}},
            {},
            "charge is 0 in metadata.json (charge), and 1 in metadata.json (molecule.net_charge)",
        ),
        (
            {"multiplicity": 1, "uhf": 2},
            {},
            "multiplicity is 1 in metadata.json (multiplicity), and 3 in metadata.json (uhf)",
        ),
        (
            {"method": "GFN1"},
            {"method": "gfn2"},
            "GFN1-xTB in metadata.json (method), and GFN2-xTB in results.json (method)",
        ),
        ({"solvent": "water"}, {"alpb": "dmso"}, "solvent is water in metadata.json (solvent)"),
        ({"solvent": "none", "solvation_model": "alpb"}, {}, "metadata.json (solvent) has no"),
        (
            {"etemp": 300, "electronic_temperature": "5000 K"},
            {},
            "300.0 in metadata.json (etemp), and 5000.0 in",
        ),
        ({"task": "opt"}, {"opt": False}, "optimisation is "),
    ],
)
def test_two_statements_that_differ_are_a_contradiction_with_both_values(
    metadata: dict[str, Any], results: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = conditions(metadata, results)

    assert len(found.contradictions) == 1
    assert said in found.contradictions[0]
    folder = tmp_path / "job"
    optimises = "opt" in results
    if optimises:
        folder.mkdir()
        (folder / "xtbopt.xyz").write_text(WATER.xyz_text(f" energy: {ENERGY} xtb: 6.5.1"))
    refused = job(folder, metadata, {**results, "energy": ENERGY}).refused or ""
    assert said in refused


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["charge", "net_charge", "chrg", "Total Charge"]), st.integers(-2, 2)
    ),
    st.booleans(),
)
def test_statements_agree_or_contradict_wherever_they_stand(
    stated: dict[str, int], is_nested: bool
) -> None:
    """For any names and depths: one value is the charge, and two are a contradiction."""
    found = conditions({"a": {"b": stated}} if is_nested else stated)

    values = set(stated.values())
    assert bool(found.contradictions) == (len(values) > 1)
    if len(values) == 1:
        assert found.charge == values.pop()


@pytest.mark.parametrize(
    "stated",
    [
        {"opt": True},
        {"task": "opt"},
        {"optimized": True},
        {"job_type": "geometry optimization"},
        {"optimization_level": "tight"},
        {"optimization_cycles": 7},
        {"command": "/usr/bin/xtb mol.xyz --opt tight > xtb.out"},
    ],
    ids=str,
)
def test_an_optimised_energy_is_not_that_of_the_input(
    stated: dict[str, Any], tmp_path: Path
) -> None:
    """The optimised geometry is not there, so the energy does not count."""
    assert "the run moved the atoms" in (
        job(tmp_path / "job", stated, {"energy": -5.0705}).refused or ""
    )


@pytest.mark.parametrize("stated", [{"opt": False}, {"task": "sp"}, {"optimization_level": "none"}])
def test_a_single_point_is_that_of_the_input(stated: dict[str, Any], tmp_path: Path) -> None:
    found = job(tmp_path / "job", stated, {"energy": ENERGY})

    assert (found.refused, found.optimization_level) == (None, None)


def test_a_command_in_the_documents_states_the_conditions(tmp_path: Path) -> None:
    command = "xtb mol.xyz --chrg 1 --uhf 1 --alpb water --gfn 1 > out 2>&1"
    found = job(tmp_path / "job", {"command": command}, {"energy": -4.4})

    assert (found.charge, found.multiplicity, found.method) == (1, 2, "GFN1-xTB")
    assert found.solvation_model == "ALPB(water)"
    other = job(tmp_path / "job", {"command": f"{command[:-11]} --input c.inp"}, {"energy": -4.4})
    assert "does not state the effect of --input" in (other.refused or "")
    third = job(tmp_path / "job", {"command": command, "charge": 0}, {"energy": -4.4})
    assert "the charge is 1 in the command line, and 0 in metadata.json" in (third.refused or "")


def test_a_temperature_of_the_electrons_is_part_of_the_method(tmp_path: Path) -> None:
    for stated in ({"electronic_temperature": 5000}, {"etemp": "5000 K"}):
        found = job(tmp_path / "job", stated, {"energy": ENERGY})

        assert found.method == "GFN2-xTB (5000 K)"
    usual = {"electronic_temperature": 300.0, "temperature": 298.15}
    assert job(tmp_path / "job", usual, {"energy": ENERGY}).method == "GFN2-xTB"


def test_two_energies_that_differ_are_a_contradiction(tmp_path: Path) -> None:
    found = job(tmp_path / "job", {}, {"energy": ENERGY, "initial": {"energy": -4.9}})

    assert found.refused is not None
    assert "results.json.energy" in found.refused
    assert "-4.9 Eh in results.json.initial.energy" in found.refused
    same = {"energy": ENERGY, "results": {"total_energy_ev": ENERGY * 27.211386245988}}
    assert job(tmp_path / "job", {}, same).refused is None


def test_forces_have_their_unit_or_are_not_read() -> None:
    rows = [[0.0, 0.0, 1.0]]

    def gradient(unit: str) -> object:
        return read_documents({}, {"forces": rows, "units": {"forces": unit}}).gradient

    assert gradient("Eh/Bohr") == ((-0.0, -0.0, -1.0),)
    assert gradient("eV/Angstrom") == ((-0.0, -0.0, pytest.approx(-0.0194469, rel=1e-5)),)
    assert gradient("N") is None


def test_a_geometry_that_xtb_reads_differently_needs_a_file_of_xtb(tmp_path: Path) -> None:
    """Documents alone do not say whether a unit in the comment was heeded."""
    folder = tmp_path / "job"
    assert job(folder, {}, {"energy": ENERGY}).refused is None
    (folder / "mol.xyz").write_text(WATER.xyz_text("units=bohr"))
    (found,) = discover(folder)
    assert isinstance(found, Folder)

    with pytest.raises(BrokenJob, match="positions in Å in the first columns"):
        read_job(FolderContents(found))


def test_the_energy_of_these_tests_is_that_of_water() -> None:
    assert run_singlepoint(WATER).energy == pytest.approx(ENERGY, abs=1e-7)
