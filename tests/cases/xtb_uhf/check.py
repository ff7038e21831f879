"""Triplet oxygen by a file .UHF, which no command line repeats."""

from pathlib import Path

from tests.cases.imported import only_calculation
from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """The multiplicity is 3, and the energy that of the triplet."""
    said = qforge("import", "jobs", str(folder / "job"), "--check", "1")

    row = only_calculation(qforge)
    assert (row["status"], row["multiplicity"]) == ("completed", 3)
    assert row["energy"] == -7.904118275554
    assert "1 of 1 recomputed" in said.stderr
