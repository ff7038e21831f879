"""The numbers are tblite's, in the units that the record promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum_forge.runner.engines.methods import METHODS
from quantum_forge.runner.engines.result import HARTREE_EV, Result
from quantum_forge.runner.engines.solvents import SOLVENTS
from quantum_forge.runner.engines.tblite import run_singlepoint
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM, Geometry

# ase.build.molecule("H2O"), which the documentation of tblite calculates.
WATER = Geometry(
    (8, 1, 1), ((0.0, 0.0, 0.119262), (0.0, 0.763239, -0.477047), (0.0, -0.763239, -0.477047))
)
# https://tblite.readthedocs.io/en/latest/users/ase.html, in eV, e·Å, eV/Å.
DOCUMENTED_ENERGY = -137.96777594361677
DOCUMENTED_DIPOLE = 0.476020974
DOCUMENTED_FORCE_ON_OXYGEN = -0.749527168

ELECTRON_ANGSTROM_DEBYE = 4.803204713


def force_along_z_on_the_first_atom(result: Result) -> float:
    forces = result.forces()
    assert forces is not None
    return forces[0][2]


def test_water_has_the_documented_energy_dipole_and_force() -> None:
    result = run_singlepoint(WATER)

    assert result.energy * HARTREE_EV == pytest.approx(DOCUMENTED_ENERGY, abs=1e-4)
    assert result.dipole == pytest.approx(DOCUMENTED_DIPOLE * ELECTRON_ANGSTROM_DEBYE, abs=1e-3)
    force = force_along_z_on_the_first_atom(result) * HARTREE_EV / BOHR_ANGSTROM
    assert force == pytest.approx(DOCUMENTED_FORCE_ON_OXYGEN, abs=1e-4)


def test_silane_has_the_energy_in_the_docstring_of_tblite_and_its_cycles_are_counted() -> None:
    a = 1.617683897558 * BOHR_ANGSTROM
    silane = Geometry(
        (14, 1, 1, 1, 1), ((0, 0, 0), (a, a, -a), (-a, -a, -a), (a, -a, a), (-a, a, a))
    )

    result = run_singlepoint(silane)

    assert result.energy == pytest.approx(-3.7632337506836944, abs=1e-7)
    table = [line for line in result.stdout_log.splitlines() if line.lstrip()[:1].isdigit()]
    assert result.scf_iterations == len(table)
    assert result.scf_iterations is not None
    assert 5 <= result.scf_iterations <= 12


@pytest.mark.parametrize("method", METHODS)
def test_every_method_obeys_the_conservation_laws(method: str) -> None:
    result = run_singlepoint(embed("CC(=O)N"), method=method)

    assert result.charges is not None
    assert result.gradient is not None
    assert math.fsum(result.charges) == pytest.approx(0.0, abs=1e-6)
    assert np.sum(result.gradient, axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    assert result.gradient_norm == pytest.approx(float(np.linalg.norm(result.gradient)))
    assert result.homo is not None
    assert result.lumo is not None
    assert result.gap == pytest.approx(result.lumo - result.homo)
    assert result.gap is not None
    assert result.gap > 0


def test_forces_are_the_slope_of_the_energy() -> None:
    step = 1e-3  # Å

    def energy(shift: float) -> float:
        oxygen, *rest = WATER.positions
        moved = (oxygen[0], oxygen[1], oxygen[2] + shift)
        return run_singlepoint(Geometry(WATER.numbers, (moved, *rest)), accuracy=0.01).energy

    slope = (energy(step) - energy(-step)) / (2 * step / BOHR_ANGSTROM)

    force = force_along_z_on_the_first_atom(run_singlepoint(WATER))
    assert force == pytest.approx(-slope, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-50, 50) for _ in range(3)]), st.floats(0, 2 * math.pi))
def test_energy_does_not_know_where_the_molecule_is(
    shift: tuple[float, float, float], angle: float
) -> None:
    turn = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    moved = np.array(WATER.positions) @ turn.T + np.array(shift)

    there = run_singlepoint(Geometry(WATER.numbers, tuple(map(tuple, moved.tolist()))))

    here = run_singlepoint(WATER)
    assert there.energy == pytest.approx(here.energy, abs=1e-7)
    assert there.dipole == pytest.approx(here.dipole, abs=1e-3)


@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
def test_every_solvent_that_the_error_names_works(method: str) -> None:
    vacuum = run_singlepoint(WATER, method=method).energy

    for solvent in SOLVENTS:
        assert run_singlepoint(WATER, method=method, solvent=solvent).energy < vacuum


def test_what_the_engine_does_not_know_is_the_users_to_correct() -> None:
    with pytest.raises(InputError, match=r"unknown solvent 'beer'; known .* water"):
        run_singlepoint(WATER, solvent="beer")
    with pytest.raises(InputError, match="IPEA1-xTB has no solvation model"):
        run_singlepoint(WATER, method="IPEA1-xTB", solvent="water")
    with pytest.raises(InputError, match="the methods are GFN2-xTB, GFN1-xTB, IPEA1-xTB"):
        run_singlepoint(WATER, method="B3LYP")
    with pytest.raises(InputError, match=r"atoms 1 and 2 are 0\.100 Å apart"):
        run_singlepoint(Geometry((1, 1), ((0, 0, 0), (0, 0, 0.1))))


def test_orbitals_that_do_not_exist_are_none() -> None:
    hydride = run_singlepoint(Geometry((1,), ((0.0, 0.0, 0.0),)), charge=-1)
    sodium_ion = run_singlepoint(Geometry((11,), ((0.0, 0.0, 0.0),)), charge=1)

    assert hydride.homo is not None
    assert hydride.lumo is None
    assert hydride.gap is None
    assert sodium_ion.homo is None
    assert sodium_ion.gap is None


def test_an_open_shell_has_its_singly_occupied_orbital_as_homo() -> None:
    oxygen = Geometry((8, 8), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.2)))

    triplet = run_singlepoint(oxygen, multiplicity=3)

    # tblite: the two degenerate pi* at -0.43945757 Eh, then 0.14795762 Eh.
    assert triplet.homo == pytest.approx(-0.43945757 * HARTREE_EV, abs=1e-4)
    assert triplet.lumo == pytest.approx(0.14795762 * HARTREE_EV, abs=1e-4)


def test_nothing_is_printed_and_the_log_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    result = run_singlepoint(WATER)

    assert capfd.readouterr() == ("", "")
    assert "total energy" in result.stdout_log
    assert result.wall_time_seconds is not None
    assert result.cpu_time_seconds is not None
    assert result.memory_peak_mb is not None
    assert result.wall_time_seconds > 0
    assert result.cpu_time_seconds > 0
    assert 1 < result.memory_peak_mb < 10_000
    assert (result.program, result.is_converged) == ("tblite", True)
