"""Gradients where atoms share a coordinate: xtb up to 6.7.1 calculates some of them wrongly."""

import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.collections import g2

from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.engines.xtb import program
from quantum_forge.runner.engines.xtb.axes import Turned, is_gradient_doubtful
from quantum_forge.runner.molecules.geometry import Geometry, Position
from tests.runner.jobs.reading.test_xtb_folders import WATER, counts, read, written, xtb

pytestmark = pytest.mark.skipif(
    shutil.which("xtb") is None, reason="xtb is not installed (apt-get install xtb)"
)

ALIGNED = Geometry((8, 1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.05), (0.93, 0.0, -0.24)))
"""Oxygen and a hydrogen share x; the plane of the molecule is a mirror plane and costs nothing."""

WRONG = ("HCO", "HOCl", "CH3SH", "N2H4", "OCHCHO")
"""Molecules of g2 whose gradient xtb 6.5.1 has wrong by more than 1e-3 Eh/Bohr."""


def of_g2(name: str) -> tuple[Geometry, int]:
    """A geometry and its multiplicity."""
    atoms = g2[name]
    unpaired = round(abs(float(atoms.get_initial_magnetic_moments().sum())))
    symbols, places = atoms.get_chemical_symbols(), atoms.positions.tolist()
    return Geometry.of(symbols, map(tuple, places)), unpaired + 1


def largest(one: tuple[Position, ...] | None, other: tuple[Position, ...] | None) -> float:
    """Over all components."""
    assert one is not None
    assert other is not None
    return float(np.abs(np.array(one) - np.array(other)).max())


@pytest.mark.parametrize("name", WRONG)
def test_the_engine_has_the_right_gradient_where_atoms_share_a_coordinate(name: str) -> None:
    """The geometry that is recorded is the one that was given."""
    geometry, multiplicity = of_g2(name)

    ours, final = program.run(geometry, multiplicity=multiplicity)

    theirs = run_singlepoint(geometry, multiplicity=multiplicity)
    assert final == geometry
    assert largest(ours.gradient, theirs.gradient) < 5e-5
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-6)
    assert ours.dipole == pytest.approx(theirs.dipole, abs=1e-3)


def test_a_gradient_is_the_derivative_of_the_energies_of_xtb() -> None:
    """By central differences, for every component: tblite has no part in it."""
    gradient = program.run(ALIGNED)[0].gradient
    step = 5e-4

    assert gradient is not None
    for atom, axis in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            places = [list(place) for place in ALIGNED.positions]
            places[atom][axis] += sign * step
            moved = Geometry(ALIGNED.numbers, tuple((x, y, z) for x, y, z in places))
            energies.append(program.run(moved)[0].energy)
        slope = (energies[0] - energies[1]) / (2 * step) * 0.529177210903
        assert gradient[atom][axis] == pytest.approx(slope, abs=1e-5)


def test_the_energy_does_not_depend_on_the_orientation(tmp_path: Path) -> None:
    folder = written(tmp_path / "job", WATER)
    xtb(folder)

    assert program.run(ALIGNED)[0].energy == pytest.approx(counts(read(folder)), abs=1e-8)


def test_an_optimised_geometry_is_in_the_orientation_of_the_input() -> None:
    result, final = program.run(ALIGNED, optimization_level="tight")

    assert max(abs(y) for _, y, _ in final.positions) < 1e-4
    again = run_singlepoint(final)
    assert again.energy == pytest.approx(result.energy, abs=1e-7)
    assert largest(result.gradient, again.gradient) < 5e-5
    assert math.hypot(*(part for row in again.gradient or () for part in row)) < 1e-3


@pytest.mark.parametrize("options", [("--grad",), ("--grad", "--gfn", "1"), ("--opt",), ()])
def test_an_imported_gradient_that_may_be_wrong_is_left_out(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither the forces nor their norm is recorded; the note has the norm that xtb printed."""
    folder = written(tmp_path / "job", of_g2("HOCl")[0].xyz_text())
    xtb(folder, *options)

    job = read(folder)

    counts(job)
    assert job.result is not None
    if "--opt" in options:  # which may have turned the molecule out of its plane
        assert job.geometry is not None
        if not is_gradient_doubtful(job.geometry, method=job.method, version="6.5.1"):
            return
    assert (job.result.gradient, job.result.gradient_norm) == (None, None)
    assert any("the gradient (norm" in note and "xtb#986" in note for note in job.notes)


def test_an_imported_gradient_of_the_same_molecule_in_another_orientation_is_kept(
    tmp_path: Path,
) -> None:
    geometry = Turned(of_g2("HOCl")[0]).geometry
    folder = written(tmp_path / "job", geometry.xyz_text())
    xtb(folder, "--grad")

    job = read(folder)

    assert job.result is not None
    assert largest(job.result.gradient, run_singlepoint(geometry).gradient) < 5e-5


def test_an_imported_gradient_of_a_version_without_the_fault_is_kept(tmp_path: Path) -> None:
    folder = written(tmp_path / "job", of_g2("HOCl")[0].xyz_text())
    xtb(folder, "--grad")
    log = (folder / "xtb.out").read_text()
    (folder / "xtb.out").write_text(re.sub(r"xtb version \S+", "xtb version 6.8.0", log))

    job = read(folder)

    assert job.result is not None
    assert job.result.gradient is not None


def test_with_cma_the_orientation_is_that_of_the_gradient_alone(tmp_path: Path) -> None:
    """The molecule is rotated before it is calculated: a norm without the file is left out."""
    folder = written(tmp_path / "job", Turned(of_g2("HOCl")[0]).geometry.xyz_text())
    xtb(folder, "--cma")

    job = read(folder)

    assert job.result is not None
    assert job.result.gradient_norm is None


@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
@pytest.mark.parametrize(
    "count", [pytest.param(25, id="25"), pytest.param(200, marks=pytest.mark.soak, id="all")]
)
def test_every_wrong_gradient_of_a_set_is_doubted(method: str, count: int, tmp_path: Path) -> None:
    """Of 162 molecules of g2, 17 have gradients that are wrong by more than 1e-4 Eh/Bohr.

    What is not doubted differs from tblite's by at most 1.4e-5 Eh/Bohr.
    """
    for name in [*WRONG, *sorted(set(g2.names) - set(WRONG))][:count]:
        geometry, multiplicity = of_g2(name)
        folder = written(tmp_path / f"{name}", geometry.xyz_text())
        xtb(folder, "--grad", "--gfn", method[3], "--uhf", str(multiplicity - 1))

        job = read(folder)

        assert job.result is not None
        if job.result.gradient is not None:
            theirs = run_singlepoint(geometry, multiplicity=multiplicity, method=method)
            assert largest(job.result.gradient, theirs.gradient) < 5e-5, name


def test_a_molecule_in_a_plane_of_the_axes_keeps_its_gradient() -> None:
    """What is left out is zero by symmetry where the plane is a mirror plane, as in benzene."""
    benzene, _ = of_g2("C6H6")
    ring = np.array(benzene.positions)
    angle = 0.3
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    turned = Geometry(benzene.numbers, tuple((x, y, z) for x, y, z in (ring @ turn).tolist()))

    assert not is_gradient_doubtful(turned, method="GFN2-xTB", version="6.5.1")
    assert is_gradient_doubtful(benzene, method="GFN2-xTB", version="6.5.1")
    assert not is_gradient_doubtful(benzene, method="GFN2-xTB", version="6.7.2")
    assert not is_gradient_doubtful(benzene, method="GFN-FF", version="6.5.1")
    assert is_gradient_doubtful(benzene, method=None, version=None)
