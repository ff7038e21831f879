"""Use case 7: however a molecule is written, and whoever brings it, it is one molecule."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.campaigns import campaign, counted, rows, write

HYDROGEN = "tests.support.runner_functions:hydrogen"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find the function that stands for chemistry."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


def test_one_molecule_however_it_is_written(engine: Engine, tmp_path: Path) -> None:
    """Three spellings are one; another charge and a tautomer are others."""
    first = write(
        tmp_path / "first.smi",
        [
            "CCO ethanol",
            "OCC same",
            "C(C)O again",
            "CC[O-] ethoxide",
            "CC(C)=O keto",
            "CC(O)=C enol",
        ],
    )
    second = write(tmp_path / "second.smi", ["OCC from elsewhere", "C methane"])

    one = campaign(engine, first, function=HYDROGEN)
    two = campaign(engine, second, function=HYDROGEN)

    assert (one.completed, one.duplicates) == (4, 2)
    assert (two.completed, two.before) == (1, 1)
    molecules = rows(engine, "molecules", ("smiles", "charge", "calculation_count"))
    assert sorted((m["smiles"], m["charge"], m["calculation_count"]) for m in molecules) == [
        *(("C", 0, 1), ("C=C(C)O", 0, 1), ("CC(C)=O", 0, 1), ("CCO", 0, 1), ("CC[O-]", -1, 1)),
    ]
    assert counted(engine)["calculation_started"] == 5
    items = rows(engine, "batch_items", ("batch_id", "calculation_id", "status"))
    assert {item["status"] for item in items} == {"completed"}
    assert (len(items), len({item["calculation_id"] for item in items})) == (6, 5)
