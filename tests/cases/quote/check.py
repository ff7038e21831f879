"""A quote in a .csv that is not closed (csvw #52, turicreate #1692, smarter_csv #283)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """The lines that it covers are one failed record that names them; the counts add up."""
    done = json.loads(qforge("run", str(folder / "open.csv"), "--json", status=3).stdout)

    assert (done["read"], done["completed"], done["failed"]) == (2, 1, 1)
    assert done["file"] == {"records": 2, "lines": 6, "skipped_lines": 1}
    (problem,) = done["problems"]
    assert problem["number"] == 3
    assert problem["reason"] == "lines 3 to 6: opens a quote that is not closed"
