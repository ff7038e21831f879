"""`xtb --gfn 2 mol.xyz --grad` beside another start.xyz: the log names mol.xyz."""

from pathlib import Path

import pytest

from tests.cases.imported import distance, only_calculation
from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """The positions are those of mol.xyz."""
    said = qforge("import", "jobs", str(folder / "job"), "--check", "1")

    row = only_calculation(qforge)
    assert (row["status"], row["energy"]) == ("completed", -5.070383095219)
    assert distance(row, 0, 1) == pytest.approx(0.96, abs=1e-9)
    assert "1 of 1 recomputed" in said.stderr
