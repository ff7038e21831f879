"""CXSMILES extensions in a table with tabs, as Enamine has it (rdkit #2672, #2878, #6498)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Names after an extension are kept; an extension that cannot be read refuses no molecule."""
    done = json.loads(qforge("run", str(folder / "e.smi"), "--json").stdout)

    assert (done["read"], done["failed"]) == (4, 0), done["problems"]
    rows = json.loads(qforge("molecules", "list", "--json").stdout)
    assert {(row["smiles"], row["name"]) for row in rows} == {
        ("CC[C@H](C)O", "Z123 a"),
        ("CC(C)C", "Z124"),
        ("CCO", "Z125"),
    }
    assert done["duplicates"] == 1, "line 5 is ethanol again"
