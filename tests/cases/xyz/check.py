"""XYZ files as people have them: charges in comments, units, cells, labels, isotopes, damage."""

import json
from pathlib import Path

from quantum_forge.runner.inputs.files import Input, MoleculeFile, read_inputs
from tests.conftest import Qforge

WATER = ("O", "H", "H")

READ: dict[str, list[tuple[str | None, int | None, int | None, tuple[str, ...]]]] = {
    "ase.xyz": [('my "quoted" mol', None, None, WATER)],
    "bohr.xyz": [(None, None, None, WATER)],
    "cr.xyz": [("water", None, None, WATER)],
    "crest.xyz": [("-5.07054432", None, None, WATER), ("-5.07054431", None, None, WATER)],
    "deut.xyz": [("heavy water", None, None, WATER)],
    "dupname.xyz": [("same", None, None, WATER), ("same", None, None, WATER)],
    "extracol.xyz": [("Mulliken", None, None, WATER)],
    "hf_export.extxyz": [("123", 0, 1, ("F", "H"))],
    "label.xyz": [("labels", None, None, WATER)],
    "lower.xyz": [(None, None, None, WATER)],
    "pbc.xyz": [(None, None, None, ("F", "H"))] * 3,
    "spaces.xyz": [("water", None, None, WATER)],
    "upper.xyz": [("nacl", None, None, ("Na", "Cl"))],
    "znum.xyz": [("z", None, None, WATER)],
}
"""Name, charge, multiplicity and elements of each frame."""

REFUSED = {
    "comma.xyz": "write decimal points instead of commas",
    "huge.xyz": "expected a number of atoms, found '1111",
    "nan.xyz": "atom 1 has a position that is not finite",
    "nocomment.xyz": "is the comment line missing?",
    "numfirst.xyz": "leave out the column that counts the atoms",
    "q01.xyz": "the file ends after 2 of 3 atoms",
}
"""What the error of the only frame says."""

MIXED: dict[str, list[tuple[int | None, int | None, str | None]]] = {
    "oh.xyz": [
        (-1, 1, None),
        (-1, 1, None),
        (-1, 1, None),
        (-1, None, None),
        (-1, None, "s=1 may mean multiplicity 1 or S = 1 (multiplicity 3)"),
        (-1, None, None),
    ],
    "spin.xyz": [(0, 3, None), (0, None, "does not fit 16 electrons"), (0, 1, None)],
    "trail.xyz": [(None, None, None), (None, None, "found 'vibrations follow' (lines 8 to 9)")],
}
"""Charge, multiplicity and error of each frame."""


def check(folder: Path, qforge: Qforge) -> None:
    """Each file is read as it is meant, or refused with what is wrong."""
    files = {path.name for path in folder.glob("*xyz")}
    assert files == READ.keys() | REFUSED.keys() | MIXED.keys(), "each file is checked"
    read = {name: list(read_inputs(folder / name)) for name in files}

    for name, frames in READ.items():
        assert [_read(each) for each in read[name]] == frames, name
    for name, said in REFUSED.items():
        (only,) = read[name]
        assert said in (only.error or ""), name
    for name, wanted in MIXED.items():
        for each, (charge, multiplicity, reason) in zip(read[name], wanted, strict=True):
            assert (each.charge, each.multiplicity) == (charge, multiplicity), name
            assert (reason or "") in (each.error or ""), name
            assert (each.error is None) == (reason is None), name
    for name, inputs in read.items():
        counted = MoleculeFile(folder / name).count
        assert counted.inputs == len(inputs)
        assert counted.lines == counted.skipped + sum(each.lines for each in inputs)
    bohr = read["bohr.xyz"][0].geometry
    assert bohr is not None
    assert abs(bohr.positions[1][2] - 1.8 * 0.529177210903) < 1e-12
    assert read["ase.xyz"][0].smiles == "O"

    _run(folder, qforge)


def _read(each: Input) -> tuple[str | None, int | None, int | None, tuple[str, ...]]:
    assert each.error is None
    assert each.charge_unclear is each.multiplicity_unclear is None
    assert each.geometry is not None
    return each.name, each.charge, each.multiplicity, each.geometry.elements()


def _run(folder: Path, qforge: Qforge) -> None:
    """Hydroxide is calculated as an anion, heavy water as its own molecule with water's energy."""
    done = json.loads(qforge("run", str(folder / "oh.xyz"), "--json", status=3).stdout)
    assert (done["read"], done["failed"]) == (6, 1)
    (problem,) = done["problems"]
    assert problem["number"] == 5
    rows = json.loads(qforge("molecules", "list", "--json").stdout)
    assert {(row["smiles"], row["charge"], row["multiplicity"]) for row in rows} == {
        ("[OH-]", -1, 1)
    }
    huge = json.loads(qforge("run", str(folder / "huge.xyz"), "--json", status=None).stdout)
    assert (huge["read"], huge["failed"]) == (1, 1)

    qforge("run", str(folder / "deut.xyz"))
    qforge("run", str(folder / "cr.xyz"))
    calculations = json.loads(qforge("calculations", "list", "--json").stdout)
    energies = {
        row["smiles"]: row["energy"] for row in calculations if row["smiles"] not in (None, "[OH-]")
    }
    assert energies.keys() == {"O", "[2H]O[2H]"}
    assert abs(energies["O"] - energies["[2H]O[2H]"]) < 1e-12
