"""Metal complexes, salts and noble gases as geometries, whose bonds RDKit does not perceive."""

import json
import tempfile
from pathlib import Path

import h5py
import pytest

from tests.conftest import Qforge

EXPECTED = {
    "water_dimer": ("H4O2", -10.145386530608),
    "Ni(CO)4": ("C4NiO4", -29.548454074684),
    "Zn(H2O)6": ("H12O6Zn+2", -30.189050413937),
    "benzene_dimer": ("C12H12", -31.763428020986),
    "Ar2": ("Ar2", -8.55845104265),
    "LiF": ("FLi", -5.079995176999),
    "NaCl": ("ClNa", -4.818934878247),
    "MgCl2": ("Cl2Mg", -9.736557746301),
    "ferrocene": ("C10H10Fe", -29.578329229996),
    "PtCl4": ("Cl4Pt-2", -23.281597621566),
    "TiCl4": ("Cl4Ti", -20.04845911433),
}
"""Formula, and the energy in Eh by xtb 6.7.1 --uhf 0 --acc 0.1."""
PERCEIVED = {"water_dimer": "O.O", "benzene_dimer": "c1ccccc1.c1ccccc1", "Ar2": "[Ar].[Ar]"}


def check(folder: Path, qforge: Qforge) -> None:
    """Each is computed, and can be shown, described and exported as any molecule."""
    qforge("run", str(folder / "metal.extxyz"), "--jobs", "1")
    again = qforge("run", str(folder / "metal.extxyz"), "--json").stdout

    assert json.loads(again)["completed_before"] == len(EXPECTED)
    found = json.loads(qforge("calculations", "list", "--json").stdout)
    assert {row["name"] for row in found} == set(EXPECTED)
    for row in found:
        formula, energy = EXPECTED[row["name"]]
        assert (row["status"], row["multiplicity"]) == ("completed", 1), row
        assert row["formula"] == formula
        assert row["energy"] == pytest.approx(energy, abs=1e-6), row
        assert row["smiles"] == PERCEIVED.get(row["name"])
        assert row["identity"] == ("perceived" if row["smiles"] else "geometry")

    (ferrocene,) = (row for row in found if row["name"] == "ferrocene")
    shown = json.loads(qforge("molecules", "show", ferrocene["molecule_id"], "--json").stdout)
    assert shown["molecule"]["identity_key"].startswith("connectivity:1:")
    assert [row["id"] for row in shown["calculations"]] == [ferrocene["id"]]

    computed = qforge("properties", "compute", "--json")
    assert json.loads(computed.stdout)["computed"] == len(PERCEIVED)
    assert "Left out 8 molecules without a SMILES" in computed.stderr

    _check_exports(qforge)


def _check_exports(qforge: Qforge) -> None:
    """Every format has all rows; a SMILES that is not there is null, absent or empty."""

    def exported(form: str) -> str:
        arguments = ("dataset", "export", f"in {form}", "--format", form, "--output", "-")
        return qforge(*arguments).stdout

    rows = [json.loads(line) for line in exported("jsonl").splitlines()]
    assert sum(row["smiles"] is None for row in rows) == 8
    assert {row["multiplicity_source"] for row in rows} == {"assumed"}
    frames = exported("extxyz")
    assert frames.count("identity=geometry") + frames.count('identity="geometry"') == 8
    assert frames.count(" smiles=") == len(PERCEIVED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.h5"
        qforge("dataset", "export", "in HDF5", "--format", "hdf5", "--output", str(path))
        with h5py.File(path) as file:
            smiles = [group["smiles"].asstr()[0] for group in file.values()]
    assert sorted(filter(None, smiles)) == sorted(PERCEIVED.values())
    assert exported("sdf").count("$$$$") == len(EXPECTED)
    assert len(exported("csv").splitlines()) == len(EXPECTED) + 1
