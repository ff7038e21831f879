"""No command runs RDKit over text from a file or the log in its own process, which records."""

import json
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds, rdDistGeom, rdinchi, rdMolDescriptors

from tests.conftest import Qforge

WATER = "3\n\nO 0.0 0.0 0.119\nH 0.0 0.763 -0.477\nH 0.0 -0.763 -0.477\n"

SEARCHES = (
    (Chem, "MolFromSmiles"),
    (Chem, "MolFromMolBlock"),
    (Chem, "MolToSmiles"),
    (Chem, "MolToMolBlock"),
    (Chem, "AddHs"),
    (Chem, "RemoveHs"),
    (Chem, "SanitizeMol"),
    (rdDetermineBonds, "DetermineBonds"),
    (rdDistGeom, "EmbedMolecule"),
    (rdinchi, "MolToInchiKey"),
    (rdMolDescriptors, "CalcMolFormula"),
    (rdMolDescriptors, "CalcCrippenDescriptors"),
)
"""What RDKit has no bound for, or overflows its stack with."""


@pytest.fixture
def without_rdkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """RDKit fails in this process; workers, which are processes of their own, have it."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("RDKit runs in the process that records")

    for module, name in SEARCHES:
        monkeypatch.setattr(module, name, refuse)


@pytest.mark.usefixtures("without_rdkit")
def test_commands_leave_rdkit_to_their_workers(qforge_here: Qforge, tmp_path: Path) -> None:
    """Runs of every kind of file, an import, descriptors, retries, and exports in every format."""
    block = "\n  test\n\n  1  0  0  0  0  0            999 V2000\n"
    block += "    0.0000    0.0000    0.0000 C   0  0\nM  END\n$$$$\n"
    files = {"a.smi": "C\nC(\n", "a.csv": "smiles\nCC\n", "a.sdf": block, "a.xyz": WATER}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    job = tmp_path / "jobs" / "job"
    job.mkdir(parents=True)
    metadata = {"job_id": "job", "smiles": "O", "charge": 0, "multiplicity": 1}
    (job / "metadata.json").write_text(json.dumps(metadata))
    (job / "results.json").write_text(json.dumps({"total_energy": -5.07, "converged": True}))
    (job / "molecule.xyz").write_text(WATER)

    for name in files:
        status = 3 if "C(" in files[name] else 0
        qforge_here("run", str(tmp_path / name), "--jobs", "1", status=status)
    imported = qforge_here("import", "jobs", str(tmp_path / "jobs"), "--json")
    described = qforge_here("properties", "compute", "--json", "--jobs", "1")
    qforge_here("retry")
    for format_ in ("sdf", "extxyz", "csv", "jsonl", "parquet", "hdf5"):
        qforge_here("dataset", "export", format_, "--format", format_)

    assert json.loads(imported.stdout)["imported"] == 1
    assert json.loads(described.stdout)["computed"] == 3
    listed = json.loads(qforge_here("calculations", "list", "--json").stdout)
    assert sorted(each["status"] for each in listed) == [*["completed"] * 4, "failed"]
