"""Open shells, and closed ones that are perceived as open, as geometries without a SMILES."""

import json
from pathlib import Path

import pytest

from tests.conftest import Qforge

EXPECTED = {
    "benzyl_radical": (2, -18.44051536051),
    "phenoxyl_radical": (2, -19.366181469779),
    "C2H3": (2, -5.662106896179),
    "CH3CO": (2, -9.776149859625),
    "NO": (2, -6.828019492026),
    "CN": (2, -4.895971670919),
    "P2": (1, -5.006018414191),
    "Be": (1, -0.569105981616),
    "HCO": (2, -6.594367877566),
}
"""Multiplicity, and the energy in Eh by xtb 6.7.1 --uhf (multiplicity − 1) --acc 0.1."""


def check(folder: Path, qforge: Qforge) -> None:
    """The lowest spin, and no SMILES that contradicts it; the energy is that of xtb."""
    qforge("run", str(folder / "radicals.xyz"), "--jobs", "1")

    found = json.loads(qforge("calculations", "list", "--json").stdout)
    assert {row["name"] for row in found} == set(EXPECTED)
    for row in found:
        multiplicity, energy = EXPECTED[row["name"]]
        assert row["status"] == "completed"
        assert row["multiplicity"] == multiplicity, row
        assert row["multiplicity_source"] == "assumed"
        assert row["energy"] == pytest.approx(energy, abs=1e-6), row
        assert row["identity"] == ("perceived" if row["smiles"] else "geometry")
    assert {row["smiles"] for row in found} == {None, "[Be]"}
