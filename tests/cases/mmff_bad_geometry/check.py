"""Structures far from a minimum are made anew or flagged, and `--opt` reaches the minimum."""

import json
from pathlib import Path

import pytest

from tests.conftest import Qforge

# GFN2-xTB, Eh, at the minimum that xtb 6.5.1 finds with --opt.
MINIMA = {
    "CO2": -10.308452,
    "N2": -5.763935,
    "N2O": -9.844932,
    "SO2": -11.367487,
    "acetylide": -4.791042,
}

# Single points at UFF's structures; at MMFF94's they are 0.16, 0.07 and 0.09 Eh higher.
BY_UFF = {"N2": -5.76267, "amidine": -41.54949, "acetylide": -4.78852}


def check(folder: Path, qforge: Qforge) -> None:
    """A single point has small forces or a warning; an optimised one has the right energy."""
    file = str(folder / "bad.smi")
    single = json.loads(qforge("run", file, "--json").stdout)
    optimised = json.loads(qforge("run", file, "--opt", "normal", "--json").stdout)

    assert (single["completed"], optimised["completed"]) == (7, 7)
    assert any("--opt" in warning["text"] for warning in single["warnings"])
    assert not optimised["warnings"]
    rows = json.loads(qforge("calculations", "list", "--limit", "50", "--json").stdout)
    assert len(rows) == 14
    for row in rows:
        if row["optimization_level"] is None:
            assert row["max_force"] < 0.1 or "--opt" in row["geometry_warning"]
            expected = BY_UFF.get(row["name"])
        else:
            assert row["geometry_warning"] is None
            assert row["max_force"] < 1e-3
            expected = MINIMA.get(row["name"])
        assert expected is None or row["energy"] == pytest.approx(expected, abs=1e-4)
