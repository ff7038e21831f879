"""Our own extended XYZ with names that look like numbers, booleans and JSON (extxyz #5)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """An export is read back: the same molecules, names and assumptions."""
    first = json.loads(qforge("run", str(folder / "names.csv"), "--jobs", "2", "--json").stdout)
    qforge("dataset", "export", "n", "--format", "extxyz", "--output", "n.extxyz")
    again = json.loads(
        qforge("run", "n.extxyz", "--method", "GFN1-xTB", "--jobs", "2", "--json").stdout
    )

    assert (first["read"], first["completed"]) == (26, 26)
    assert (again["read"], again["completed"]) == (26, 26), again["problems"]
    rows = json.loads(qforge("calculations", "list", "--limit", "100", "--json").stdout)
    names: dict[str, set[tuple[str, str]]] = {"GFN2-xTB": set(), "GFN1-xTB": set()}
    for row in rows:
        names[row["method"]].add((row["smiles"], row["name"]))
    assert len(names["GFN1-xTB"]) == 26
    assert names["GFN1-xTB"] == names["GFN2-xTB"]
    assert {row["multiplicity_source"] for row in rows} == {"assumed"}
    assert {("F", "123"), ("O", "T"), ("CCN", "line1\nline2")} <= names["GFN1-xTB"]
