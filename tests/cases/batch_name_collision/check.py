"""Files that share a name, and runs of one file by several methods, are batches of their own."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Each batch has its own parameters, counts and extent, and a shared name is not guessed."""
    ada, bob = (str(folder / who / "molecules.smi") for who in ("ada", "bob"))
    first = qforge("run", ada)
    assert "New batch" not in first.stderr
    second = qforge("run", bob, "--method", "GFN1-xTB")
    assert "New batch molecules" in second.stderr
    assert ada in second.stderr
    qforge("run", ada, "--method", "GFN1-xTB")
    same = qforge("run", ada)
    assert "New batch" not in same.stderr

    batches = _batches(qforge)
    assert sorted((row["parameters"]["method"], row["total_count"]) for row in batches) == [
        ("GFN1-xTB", 1),
        ("GFN1-xTB", 2),
        ("GFN2-xTB", 1),
    ]
    of_bob = next(row for row in batches if row["source"].endswith(f":{bob}"))

    refused = qforge("retract", "--batch", "molecules", "--reason", "a test", status=1)
    for row in batches:
        assert row["id"][:8] in refused.stderr
    qforge("dataset", "export", "set", "--batch", "molecules", status=1)
    every = qforge("calculations", "list", "--batch", "molecules", "--json")
    assert len(json.loads(every.stdout)) == 4
    assert "3 batches are named molecules" in every.stderr

    qforge("retract", "--batch", of_bob["id"][:8], "--reason", "a test")
    statuses = {
        row["name"]: row["status"]
        for row in json.loads(qforge("calculations", "list", "--json").stdout)
    }
    assert statuses == {"a1": "completed", "b1": "invalidated", "b2": "invalidated"}

    for file in (ada, bob):
        qforge("run", file, "--batch", "both")
    (both,) = (row for row in _batches(qforge) if row["name"] == "both")
    assert (both["total_count"], both["successful_count"], both["source"]) == (3, 3, None)


def _batches(qforge: Qforge) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(qforge("batches", "list", "--json").stdout)
    return found
