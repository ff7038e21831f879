"""Sets of real molecules, and an independent calculation of each by the xtb program."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from ase.collections import g2
from rdkit import Chem, RDConfig
from rdkit.Chem import rdDistGeom
from tblite.interface import Calculator

from quantum_forge.runner.engines.xtb.axes import Turned
from quantum_forge.runner.engines.xtb.dump import read_dump, read_gradient
from quantum_forge.runner.molecules.geometry import BOHR_ANGSTROM, Geometry, Position

TOLERANCE = 1e-6
"""Eh between tblite and xtb at the same geometry."""

_LENGTHS = {"O": 2.05, "N": 2.15, "C": 1.95, "Cl": 2.30, "F": 1.85}
"""Å from a metal to the first atom of a ligand: usual ones, the same for all metals."""

_LIGANDS: dict[str, tuple[int, list[tuple[str, float, float, float]]]] = {
    "H2O": (0, [("O", 0, 0, 0), ("H", 0.76, 0, 0.59), ("H", -0.76, 0, 0.59)]),
    "NH3": (
        0,
        [("N", 0, 0, 0), ("H", 0.94, 0, 0.38), ("H", -0.47, 0.81, 0.38), ("H", -0.47, -0.81, 0.38)],
    ),
    "CO": (0, [("C", 0, 0, 0), ("O", 0, 0, 1.14)]),
    "Cl-": (-1, [("Cl", 0, 0, 0)]),
    "F-": (-1, [("F", 0, 0, 0)]),
    "CN-": (-1, [("C", 0, 0, 0), ("N", 0, 0, 1.16)]),
}
"""Charge, and atoms in Å; the first is bound to the metal at −z."""

_SHAPES = {
    "linear": [(0, 0, 1), (0, 0, -1)],
    "tetrahedral": [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
    "square": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)],
    "octahedral": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)],
}
"""Directions of the ligands from the metal."""

_METALS = {
    **dict.fromkeys(("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Pd", "Pt", "Ru"), 2),
    **dict.fromkeys(("Al", "Sc", "Y", "La", "Rh", "Ir", "Ga", "In", "Au"), 3),
    **dict.fromkeys(("Zr", "Hf", "Sn"), 4),
    **dict.fromkeys(("Mg", "Ca", "Cd", "Hg", "Pb"), 2),
    **dict.fromkeys(("Li", "Na", "K", "Ag"), 1),
}
"""Usual oxidation states."""


class Energy(msgspec.Struct, frozen=True):
    """What xtb says of a geometry: energy in Eh, unpaired electrons; and of each atom.

    gradient Eh/Bohr, in the orientation that was given; charges e; dipole (norm) Debye.
    """

    energy: float
    unpaired: int
    gradient: tuple[Position, ...]
    charges: tuple[float, ...]
    dipole: float


def nci(count: int) -> list[str]:
    """Lines of a .smi file: of the NCI list that RDKit ships, every tenth, dirty ones included."""
    path = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
    return path.read_text().splitlines()[::10][:count]


def g2_set(count: int) -> list[str]:
    """Frames of an .extxyz file: ASE's g2, with the spin that ASE gives where it is not lowest."""
    frames = []
    for name in g2.names[:count]:
        atoms = g2[name]
        unpaired = round(abs(float(atoms.get_initial_magnetic_moments().sum())))
        geometry = Geometry.of(atoms.get_chemical_symbols(), map(tuple, atoms.positions.tolist()))
        frames.append(_frame(geometry, name, multiplicity=unpaired + 1))
    return frames


def species(count: int) -> list[str]:
    """Frames of an .extxyz file: metal complexes, then radicals and ions of drug-like molecules."""
    return [*_complexes(count // 2), *_fragments(count - count // 2)]


def _complexes(count: int) -> list[str]:
    """As many metals as ligands and shapes, spin as low as the electrons allow."""
    frames = []
    for (shape, directions), (metal, state), (ligand, (charge, atoms)) in product(
        _SHAPES.items(), _METALS.items(), _LIGANDS.items()
    ):
        symbols, positions = [metal], [np.zeros(3)]
        for direction in directions:
            axis = np.array(direction) / np.linalg.norm(direction)
            turn = _turn_to(axis)
            for symbol, *place in atoms:
                symbols.append(symbol)
                positions.append(turn @ np.array(place) + axis * _LENGTHS[atoms[0][0]])
        total = state + charge * len(directions)
        if -4 <= total <= 4:
            geometry = Geometry.of(
                symbols, [(float(x), float(y), float(z)) for x, y, z in positions]
            )
            frames.append(_frame(geometry, f"{shape} {metal} {ligand}", charge=total))
    chosen = np.random.default_rng(1).permutation(len(frames))[:count]
    return [frames[index] for index in chosen]


def _turn_to(axis: Any) -> Any:
    """A rotation that takes z to `axis`."""
    other = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    first = np.cross(other, axis)
    first /= np.linalg.norm(first)
    return np.column_stack([first, np.cross(axis, first), axis])


def _fragments(count: int) -> Iterator[str]:
    """One hydrogen off, as atom, proton or hydride in turn; or an electron less or more."""
    found = 0
    path = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
    for number, line in enumerate(path.read_text().splitlines()):
        mol = Chem.MolFromSmiles(line.split()[0])
        if mol is None or not 3 <= mol.GetNumAtoms() <= 12 or Chem.GetFormalCharge(mol):
            continue
        mol = Chem.AddHs(mol)
        hydrogens = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == 1]
        if not hydrogens or rdDistGeom.EmbedMolecule(mol, randomSeed=7) != 0:
            continue
        charge, leaves = [(0, True), (-1, True), (1, True), (1, False), (-1, False)][number % 5]
        left = hydrogens[number % len(hydrogens)] if leaves else None
        kept = [a.GetIdx() for a in mol.GetAtoms() if a.GetIdx() != left]
        places = mol.GetConformer().GetPositions()
        geometry = Geometry(
            tuple(mol.GetAtomWithIdx(index).GetAtomicNum() for index in kept),
            tuple((float(x), float(y), float(z)) for x, y, z in places[kept]),
        )
        yield _frame(geometry, f"fragment {number}", charge=charge)
        found += 1
        if found == count:
            return


def _frame(
    geometry: Geometry, name: str, *, charge: int = 0, multiplicity: int | None = None
) -> str:
    stated = "" if multiplicity is None else f" multiplicity={multiplicity}"
    comment = f'Properties=species:S:1:pos:R:3 name="{name}" charge={charge}{stated} pbc="F F F"'
    return geometry.xyz_text(comment)


_TOTAL = re.compile(r"TOTAL ENERGY\s+(-?\d+\.\d+)")
_UNPAIRED = re.compile(r'"number of unpaired electrons":\s*(\d+)')


def three_body(geometry: Geometry, charge: int, unpaired: int) -> float:
    """The three-body dispersion in Eh that is in tblite's GFN2-xTB energy.

    At this verbosity, tblite prints the part of the dispersion that does not depend on charges.
    """
    log: list[str] = []
    calculator = Calculator(
        "GFN2-xTB",
        np.array(geometry.numbers),
        np.array(geometry.positions) / BOHR_ANGSTROM,
        charge=float(charge),
        uhf=unpaired,
        color=False,
        logger=log.append,
    )
    calculator.set("verbosity", 2)
    calculator.singlepoint()
    (energy,) = (line.split()[2] for line in log if line.startswith("dispersion energy"))
    return float(energy)


def _parameters_without_three_body() -> str:
    """The parameters of GFN2-xTB that come with xtb, with s9 = 0."""
    xtb = shutil.which("xtb")
    assert xtb is not None
    shipped = Path(xtb).parents[1] / "share" / "xtb" / "param_gfn2-xtb.txt"
    changed, count = re.subn(r"(?m)^(s9\s+)5\.0+$", r"\g<1>0.00000", shipped.read_text())
    assert count == 1
    return changed


def by_xtb(
    folder: Path,
    geometry: Geometry,
    charge: int,
    unpaired: int | None,
    *,
    has_three_body: bool = True,
) -> Energy | None:
    """GFN2-xTB by the program; without `unpaired`, xtb decides. None where it gives no energy.

    It calculates in another orientation, in which no two atoms share a coordinate: its gradient is
    wrong where they do (grimme-lab/xtb#986).

    `has_three_body`: with the three-body dispersion.
    """
    folder.mkdir(parents=True)
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OMP_STACKSIZE": "1G"}
    if not has_three_body:
        (folder / "param_gfn2-xtb.txt").write_text(_parameters_without_three_body())
        environment["XTBPATH"] = str(folder)
    turned = Turned(geometry)
    (folder / "m.xyz").write_text(turned.geometry.xyz_text())
    spin = [] if unpaired is None else ["--uhf", str(unpaired)]
    done = subprocess.run(
        ["xtb", "m.xyz", "--gfn", "2", "--grad", "--json", "--chrg", str(charge), *spin],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=300,
        check=False,
    )
    dump = folder / "xtbout.json"
    total = _TOTAL.search(done.stdout)
    open_shells = _UNPAIRED.search(dump.read_text()) if dump.exists() else None
    if done.returncode or total is None or open_shells is None:
        shutil.rmtree(folder)
        return None
    more = read_dump(dump.read_bytes())
    gradient = read_gradient((folder / "gradient").read_text()).gradient
    shutil.rmtree(folder)
    assert more.charges is not None
    assert more.first_dipole is not None
    return Energy(
        float(total[1]),
        int(open_shells[1]),
        turned.back(gradient),
        more.charges,
        more.first_dipole,
    )


def all_by_xtb(
    folder: Path,
    jobs: list[tuple[Geometry, int, int | None]],
    *,
    has_three_body: bool = True,
    workers: int = 2,
) -> list[Energy | None]:
    """`by_xtb` for many; in their order."""
    calculate = partial(by_xtb, has_three_body=has_three_body)
    with ThreadPoolExecutor(workers) as pool:
        tasks = [
            pool.submit(calculate, folder / str(number), *job) for number, job in enumerate(jobs)
        ]
        return [task.result() for task in tasks]
