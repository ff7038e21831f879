"""`mol.xyz --opt`, then `xtbopt.xyz --grad` in the same folder: all results are of xtbopt.xyz."""

from pathlib import Path

import pytest

from tests.cases.imported import distance, largest_force, only_calculation
from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """The positions are those of xtbopt.xyz and of the gradient, not those of mol.xyz."""
    said = qforge("import", "jobs", str(folder / "job"), "--check", "1")

    row = only_calculation(qforge)
    assert (row["status"], row["energy"]) == ("completed", -5.070544413813)
    assert distance(row, 0, 1) == pytest.approx(0.9590236, abs=1e-6)
    assert largest_force(row) < 2e-4
    assert "1 of 1 recomputed" in said.stderr
