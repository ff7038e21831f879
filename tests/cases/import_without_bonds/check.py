"""A run of xtb 6.7.1 on ferrocene, whose bonds RDKit does not perceive."""

import json
from pathlib import Path

import pytest

from tests.conftest import Qforge

ENERGY = -29.577318453938
"""In Eh, as xtb.out has it."""


def check(folder: Path, qforge: Qforge) -> None:
    """The folder becomes a result of a molecule without a SMILES; again, it is there."""
    for outcome in ("imported", "present"):
        said = json.loads(qforge("import", "jobs", str(folder / "ferrocene"), "--json").stdout)
        assert said[outcome] == 1, said

    (row,) = json.loads(qforge("calculations", "list", "--json").stdout)
    assert (row["status"], row["multiplicity"]) == ("completed", 1)
    assert (row["smiles"], row["formula"], row["identity"]) == (None, "C10H10Fe", "geometry")
    assert row["energy"] == pytest.approx(ENERGY, abs=1e-7)
