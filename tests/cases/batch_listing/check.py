"""A batch holds the results that existed before it, under the names of its own file."""

import csv
import json
import re
from pathlib import Path

from tests.conftest import Qforge

NAMES = {"my-id-17", "my-id-18"}


def check(folder: Path, qforge: Qforge) -> None:
    """Both lines of the second file are listed and exported, by the names that it has for them."""
    qforge("run", str(folder / "first.smi"))
    again = json.loads(qforge("run", str(folder / "mine.smi"), "--json").stdout)
    assert (again["completed"], again["completed_before"]) == (1, 1)

    listed = json.loads(qforge("calculations", "list", "--batch", "mine", "--json").stdout)
    assert {row["name"] for row in listed} == NAMES
    assert {row["status"] for row in listed} == {"completed"}
    assert again["batch_id"] not in {row["batch_id"] for row in listed if row["smiles"] == "CCO"}

    (found,) = json.loads(qforge("calculations", "list", "--name", "my-id-17", "--json").stdout)
    (molecule,) = json.loads(qforge("molecules", "list", "--name", "my-id-17", "--json").stdout)
    assert (found["smiles"], molecule["smiles"], molecule["name"]) == ("CCO", "CCO", "ethanol")

    for format_ in ("csv", "jsonl", "extxyz", "sdf"):
        written = _exported(qforge, "mine", format_)
        assert _names(written, format_) == NAMES, format_
    assert _names(_exported(qforge, "first", "csv"), "csv") == {"ethanol", "propane"}

    (batch,) = json.loads(qforge("batches", "list", "--name", "mine", "--json").stdout)
    assert (batch["total_count"], batch["successful_count"], batch["failed_count"]) == (2, 2, 0)
    qforge("retract", "--batch", "mine", "--reason", "a test")
    left = json.loads(qforge("calculations", "list", "--status", "completed", "--json").stdout)
    assert {row["smiles"] for row in left} == {"CCO", "CCC"}


def _exported(qforge: Qforge, batch: str, format_: str) -> str:
    """What a batch's dataset is in a text format."""
    return qforge(
        *("dataset", "export", "set", "--batch", batch, "--format", format_, "--output", "-")
    ).stdout


def _names(written: str, format_: str) -> set[str]:
    match format_:
        case "csv":
            return {row["name"] for row in csv.DictReader(written.splitlines())}
        case "jsonl":
            return {json.loads(line)["name"] for line in written.splitlines()}
        case "extxyz":
            return set(re.findall(r'\bname="?([\w-]+)', written))
        case _:
            return {record.split("\n", 1)[0] for record in written.split("$$$$\n") if record}
