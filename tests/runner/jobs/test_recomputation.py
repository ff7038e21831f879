"""Imported energies are calculated again, and what differs is reported."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.jobs.recomputation import (
    TOLERANCE,
    TOLERANCE_OF_LARGE,
    Checked,
    RecordedResult,
    Sample,
    recompute,
)
from quantum_forge.runner.molecules.geometry import Geometry
from tests.conftest import Qforge

CASES = Path(__file__).parents[2] / "cases"
WATER = Geometry((8, 1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.96), (0.93, 0.0, -0.24)))
ENERGY = -5.070383095219


def recorded(number: int = 1, **changed: Any) -> RecordedResult:
    fields: dict[str, Any] = {
        "calculation_id": UUID(int=number),
        "path": f"job_{number}",
        "energy": ENERGY,
        "geometry": WATER,
        "charge": 0,
        "multiplicity": 1,
        "method": "GFN2-xTB",
        "solvation_model": None,
    }
    return RecordedResult(**{**fields, **changed})


@given(st.sets(st.uuids(), max_size=40), st.integers(0, 10), st.randoms())
def test_a_sample_is_the_same_in_any_order(ids: set[UUID], size: int, random: Any) -> None:
    """Processes return folders in any order."""
    samples = []
    for _ in range(2):
        order = sorted(ids)
        random.shuffle(order)
        sample = Sample(size)
        for each in (*order, *order[:3]):
            sample.add(each, str(each))
        samples.append(sample.paths())

    assert list(samples[0].items()) == list(samples[1].items())
    assert len(samples[0]) == min(size, len(ids))
    assert samples[0].keys() <= ids


def test_what_differs_by_more_than_the_tolerance_is_reported() -> None:
    """A recorded energy, charge, spin, method, solvent or geometry that is not the right one."""
    moved = Geometry(WATER.numbers, (*WATER.positions[:2], (0.93, 0.0, -0.30)))
    wrong: Sequence[dict[str, Any]] = (
        {"energy": ENERGY + 2e-6},
        {"charge": 1, "multiplicity": 2},
        {"multiplicity": 3},
        {"method": "GFN1-xTB"},
        {"solvation_model": "ALPB(water)"},
        {"geometry": moved},
    )
    right = [recorded(100), recorded(101, energy=ENERGY + 5e-7)]

    checked = recompute(
        [*right, *(recorded(number, **changed) for number, changed in enumerate(wrong))], jobs=2
    )

    assert (checked.sampled, checked.recomputed, checked.agreed) == (8, 8, 2)
    assert {each.calculation_id.int for each in checked.differences} == set(range(len(wrong)))
    for each in checked.differences:
        assert each.reason.startswith(f"the recorded energy is {each.recorded:.9f} Eh, and tblite")


def test_forces_charges_and_dipoles_are_compared_where_they_are_recorded() -> None:
    """The one that differs most, with its atom; the dipole of an ion depends on the origin."""
    result = run_singlepoint(WATER)
    forces, charges = result.forces(), result.charges
    assert forces is not None
    assert charges is not None
    right: dict[str, Any] = {"forces": forces, "charges": charges, "dipole": result.dipole}
    x, y, z = forces[1]
    wrong: Sequence[tuple[str, int | None, dict[str, Any]]] = (
        ("force", 2, {"forces": (forces[0], (x, y, z + 3e-4), forces[2])}),
        ("charge", 3, {"charges": (*charges[:2], charges[2] + 3e-3)}),
        ("dipole", None, {"dipole": 0.0}),
    )

    checked = recompute(
        [
            recorded(100, **right),
            recorded(101, forces=tuple((a + 5e-5, b, c) for a, b, c in forces)),
            *(recorded(number, **{**right, **each}) for number, (_, _, each) in enumerate(wrong)),
        ],
        jobs=1,
    )

    assert (checked.agreed, len(checked.differences)) == (2, len(wrong))
    for each in checked.differences:
        quantity, atom, _ = wrong[each.calculation_id.int]
        assert (each.quantity, each.atom) == (quantity, atom)
        assert each.reason.startswith(f"the recorded {quantity}")


@pytest.mark.parametrize(
    ("method", "tolerance"), [("GFN2-xTB", TOLERANCE_OF_LARGE), ("GFN1-xTB", TOLERANCE)]
)
def test_energies_of_a_large_molecule_may_differ_by_its_three_body_dispersion(
    method: str, tolerance: float
) -> None:
    """Of GFN2-xTB, tblite sums it up to 25 Bohr, and xtb up to 40 Bohr; GFN1-xTB has none."""
    far = tuple((x, y, z + 14.0) for x, y, z in WATER.positions)
    geometry = Geometry(WATER.numbers * 2, WATER.positions + far)
    energy = run_singlepoint(geometry, method=method).energy
    large: dict[str, Any] = {"geometry": geometry, "method": method}

    checked = recompute(
        [
            recorded(1, energy=energy - 0.9 * tolerance, **large),
            recorded(2, energy=energy - 1.1 * tolerance, **large),
        ],
        jobs=1,
    )

    assert checked.agreed == 1
    assert [each.calculation_id.int for each in checked.differences] == [2]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"method": "GFN-FF"}, "tblite has no method GFN-FF"),
        ({"method": "GFN2-xTB (5000 K)"}, "tblite has no method"),
        ({"solvation_model": "GBSA(water)"}, "and not GBSA"),
        ({"solvation_model": "ALPB(water, gsolv=reference [X=1])"}, "and not ALPB(water, gsolv"),
        ({"solvation_model": "ALPB(brine)"}, "unknown solvent"),
        ({"multiplicity": None}, "no multiplicity"),
        ({"energy": None}, "no energy"),
    ],
)
def test_what_tblite_cannot_calculate_is_said(changed: dict[str, Any], reason: str) -> None:
    checked = recompute([recorded(**changed)], jobs=1)

    assert (checked.sampled, checked.recomputed) == (1, 0)
    assert reason in checked.not_recomputed[0].reason


def test_a_calculation_that_hangs_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    # The processes take this one's import path; with it they find `tests`.
    monkeypatch.syspath_prepend(Path(__file__).parents[3])

    checked = recompute(
        [recorded()], jobs=1, timeout_s=0.5, function="tests.support.runner_functions:never_ends"
    )

    assert checked.recomputed == 0
    assert "0.5" in checked.not_recomputed[0].reason


def jobs_folder(folder: Path) -> Path:
    """A right result, one that is off by a millihartree, and one that tblite cannot calculate."""
    right = folder / "jobs" / "right"
    shutil.copytree(CASES / "xtb_start" / "job", right)
    for name, changed in (
        ("wrong", {"energy": ENERGY + 1e-3}),
        ("other", {"energy": -0.32, "method": "GFN-FF"}),
    ):
        (folder / "jobs" / name).mkdir()
        (folder / "jobs" / name / "mol.xyz").write_text(WATER.xyz_text())
        (folder / "jobs" / name / "results.json").write_text(json.dumps(changed))
    return folder / "jobs"


def test_the_command_reports_differences_and_fails(qforge_here: Qforge, tmp_path: Path) -> None:
    jobs_folder(tmp_path)

    for _ in range(2):  # imported now, and there already
        said = qforge_here("import", "jobs", "jobs", "--check", "20", "--json", status=1)

        check = json.loads(said.stdout)["check"]
        assert (check["sampled"], check["recomputed"]) == (3, 2)
        (different,) = check["differences"]
        assert different["path"] == "jobs/wrong"
        assert different["recomputed"] == pytest.approx(ENERGY, abs=1e-6)
        assert "jobs/wrong: the recorded energy is" in said.stderr
        assert "jobs/other: not recomputed: tblite has no method GFN-FF" in said.stderr
        assert "check: 2 of 3 recomputed, 1 of them differ" in said.stderr


def test_the_command_succeeds_where_nothing_differs(qforge_here: Qforge, tmp_path: Path) -> None:
    shutil.rmtree(jobs_folder(tmp_path) / "wrong")

    said = qforge_here("import", "jobs", "jobs", "--check", "1", "--json")

    check = json.loads(said.stdout)["check"]
    assert check["sampled"] == 1
    assert check["differences"] == []


def test_a_dry_run_has_nothing_to_check(qforge_here: Qforge, tmp_path: Path) -> None:
    jobs_folder(tmp_path)

    said = qforge_here("import", "jobs", "jobs", "--check", "1", "--dry-run", status=2)

    assert "--dry-run records none" in said.stderr


def test_nothing_to_check_is_no_difference() -> None:
    assert recompute([], jobs=1) == Checked()
