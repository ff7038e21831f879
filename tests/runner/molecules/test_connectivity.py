"""A molecule without bonds that can be perceived has one identity, however its atoms lie."""

import math

import msgspec
import numpy as np
import pytest
from ase.build import molecule as g2_molecule
from ase.collections import g2
from ase.data import covalent_radii
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.conformers import embed
from quantum_forge.runner.molecules.connectivity import (
    COVALENT_RADII,
    MOST_ATOMS,
    TOLERANCE,
    connectivity,
)
from quantum_forge.runner.molecules.geometry import ATOMIC_NUMBERS, Geometry
from quantum_forge.runner.molecules.identity import identify
from quantum_forge.runner.molecules.records import Input

_seeds = st.integers(0, 2**32 - 1)


def ferrocene() -> Geometry:
    """Eclipsed, Fe–C 2.06 Å."""
    atoms = [("Fe", (0.0, 0.0, 0.0))]
    for z in (1.66, -1.66):
        for symbol, radius in (("C", 1.22), ("H", 2.30)):
            for corner in range(5):
                angle = 2 * math.pi * corner / 5
                atoms.append((symbol, (radius * math.cos(angle), radius * math.sin(angle), z)))
    return Geometry.of(*zip(*atoms, strict=True))


def rock_salt(edge: int) -> Geometry:
    """A cube of NaCl with `edge` ions along each side, 2.82 Å apart."""
    sites = [(x, y, z) for x in range(edge) for y in range(edge) for z in range(edge)]
    symbols = ["Na" if sum(site) % 2 == 0 else "Cl" for site in sites]
    return Geometry.of(symbols, [(2.82 * x, 2.82 * y, 2.82 * z) for x, y, z in sites])


def of_g2(name: str) -> Geometry:
    """A molecule of ASE's."""
    atoms = g2_molecule(name)
    return Geometry.of(atoms.symbols, [tuple(at) for at in atoms.positions.tolist()])


GEOMETRIES = {
    "ferrocene": ferrocene(),
    "rock salt": rock_salt(3),
    **{name: of_g2(name) for name in ("LiF", "AlCl3", "ClF3", "C6H6", "bicyclobutane")},
}


def moved(geometry: Geometry, seed: int, noise: float = 0.0) -> Geometry:
    """Rotated, shifted, its atoms in another order, each displaced by at most `noise` in Å."""
    random = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    steps = random.normal(size=(len(geometry), 3))
    steps *= noise / np.linalg.norm(steps, axis=1, keepdims=True)
    positions = np.array(geometry.positions) @ rotation + random.uniform(-99, 99, 3) + steps
    order = random.permutation(len(geometry))
    return Geometry(
        tuple(geometry.numbers[atom] for atom in order),
        tuple(tuple(positions[atom].tolist()) for atom in order),
    )


@pytest.mark.parametrize("name", GEOMETRIES)
@settings(max_examples=12)
@given(seed=_seeds)
def test_a_moved_geometry_is_the_same_molecule(name: str, seed: int) -> None:
    """Rotation, reflection, translation and the order of the atoms change no key."""
    geometry = GEOMETRIES[name]

    assert connectivity(moved(geometry, seed)).key == connectivity(geometry).key


@pytest.mark.parametrize("name", GEOMETRIES)
@settings(max_examples=12)
@given(seed=_seeds, part=st.floats(0, 0.99))
def test_noise_below_the_tolerance_changes_no_key(name: str, seed: int, part: float) -> None:
    """Unless the geometry was recorded as a doubtful one."""
    key, doubt = connectivity(GEOMETRIES[name])
    assume(doubt is None)

    assert connectivity(moved(GEOMETRIES[name], seed, part * TOLERANCE)).key == key


def test_most_geometries_are_not_doubtful() -> None:
    """The tolerance is of use: of the 162 molecules of g2, few are near a limit."""
    doubtful = [name for name in g2.names if connectivity(of_g2(name)).doubt]

    assert len(doubtful) <= 8, doubtful


def test_a_bond_near_its_limit_is_named() -> None:
    """N–N ends at 1.846 Å."""
    doubt = connectivity(Geometry.of(["N", "N"], [(0, 0, 0), (0, 0, 1.80)])).doubt

    assert doubt is not None
    assert "distance N1–N2 of 1.80 Å is near the limit of 1.85 Å" in doubt


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CCO", "COC"),
        ("CCC(C)C", "CCCCC"),
        ("C1CCC2CCCCC2C1", "C1CCC(C1)C1CCCC1"),  # decalin, bicyclopentyl: alike to refinement
        ("C1CC1.C1CC1", "C1CCCCC1"),
        ("Nc1ccccc1N", "Nc1cccc(N)c1"),
    ],
)
def test_isomers_have_different_keys(one: str, other: str) -> None:
    """Compounds that differ in which atoms are bonded."""
    assert connectivity(embed(one)).key != connectivity(embed(other)).key


def test_isotopes_are_told_apart() -> None:
    """LiH and LiD differ in their vibrations, and in their weight."""
    light = Geometry.of(["Li", "H"], [(0, 0, 0), (0, 0, 1.6)])
    heavy = msgspec.structs.replace(light, isotopes=(0, 2))

    one, other = (identify(Input(number=1, source="", geometry=each)) for each in (light, heavy))

    assert one.identity_key == connectivity(msgspec.structs.replace(light, isotopes=())).key
    assert one.identity_key != other.identity_key
    assert (one.formula, other.formula) == ("HLi", "HLi")
    assert other.molecular_weight - one.molecular_weight == pytest.approx(1.006, abs=0.001)


def test_elements_are_told_apart() -> None:
    """Of one shape."""
    keys = {
        connectivity(Geometry.of([metal, "Cl"], [(0, 0, 0), (0, 0, 2.3)])).key
        for metal in ("Na", "K", "Cu", "Ag")
    }

    assert len(keys) == 4


def test_keys_stay_what_they_are() -> None:
    """Ids of molecules are derived from them: another key would be another molecule."""
    assert connectivity(ferrocene()).key == (
        "connectivity:1:633c3cc1eda3a5745a2ec2aabd3df4cc8e0270dee3e0ee3cefa4de55f034324b"
    )


def test_the_radii_are_those_that_ase_has() -> None:
    """Both took them from the same paper."""
    assert len(COVALENT_RADII) == 87
    assert COVALENT_RADII[1:] == pytest.approx(covalent_radii[1:87], abs=0.005)


def test_too_many_atoms_are_refused() -> None:
    """They would take minutes and gigabytes; a SMILES identifies them."""
    helium = ATOMIC_NUMBERS["He"]
    count = MOST_ATOMS + 1
    gas = Geometry((helium,) * count, tuple((9.0 * index, 0.0, 0.0) for index in range(count)))

    with pytest.raises(InputError, match="add smiles="):
        connectivity(gas)
