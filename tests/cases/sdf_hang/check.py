"""An azide whose bond orders RDKit searches for ever (rdkit #7922, #9227)."""

from pathlib import Path

from rdkit import Chem

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """The export ends; the record has the atoms and the numbers, and no bonds."""
    qforge("run", str(folder / "h.xyz"), "--jobs", "1")
    qforge("run", str(folder / "nosmiles.xyz"), "--jobs", "1", status=None)

    text = qforge("dataset", "export", "x", "--format", "sdf", "--output", "-").stdout

    records = text.split("$$$$\n")[:-1]
    smiles = (folder / "h.xyz").read_text().splitlines()[1].partition("smiles=")[2]
    stated = [
        record for record in records if Chem.MolToSmiles(Chem.MolFromSmiles(smiles)) in record
    ]
    assert len(stated) == 1
    assert stated[0].splitlines()[3].split()[:2] == ["37", "0"], "37 atoms, no bonds"
    assert ">  <energy_hartree>" in stated[0]
