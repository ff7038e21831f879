"""RDKit counts unpaired electrons on metals that accept dative bonds (rdkit #3381)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Closed shells, as of the same ions without the dative bonds; each metal is warned of."""
    qforge("run", str(folder / "ca.smi"), "--jobs", "1")
    said = qforge("run", str(folder / "mgp.smi"), "--jobs", "1").stderr

    found = json.loads(qforge("calculations", "list", "--json").stdout)
    assert len(found) == 12
    for row in found:
        assert (row["status"], row["multiplicity"]) == ("completed", 1), row
        assert (row["charge_source"], row["multiplicity_source"]) == ("given", "assumed"), row
        assert "multiplicity 1, the lowest, is assumed" in row["warnings"][0], row
    assert "contains Mg: multiplicity 1, the lowest, is assumed" in said
    # As a triplet, which it was taken for, −61.1795 Eh.
    (porphine,) = (row for row in found if row["name"] == "magnesium-porphine")
    assert porphine["energy"] < -61.22

    shown = qforge("calculations", "show", porphine["id"]).stdout
    assert "multiplicity_source\tassumed" in shown
    assert "contains Mg" in shown
