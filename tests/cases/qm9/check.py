"""A file of QM9: `*^` exponents, and lines after the atoms (pymatgen #1876, deepchem #1122)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """One molecule, methane, named `gdb 1`; the lines after its atoms are no frames."""
    done = json.loads(qforge("run", str(folder / "q.xyz"), "--json").stdout)

    assert (done["read"], done["completed"]) == (1, 1), done["problems"]
    assert done["file"] == {"records": 1, "lines": 10, "skipped_lines": 0}
    (row,) = json.loads(qforge("molecules", "list", "--json").stdout)
    assert (row["smiles"], row["name"], row["charge"], row["multiplicity"]) == ("C", "gdb 1", 0, 1)
