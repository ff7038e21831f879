"""A run in which every input failed says so by its exit status."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """1 when no input has a result, with the reason of each."""
    done = json.loads(qforge("run", str(folder / "bad.smi"), "--json", status=1).stdout)

    assert (done["read"], done["failed"], done["completed"]) == (2, 2, 0)
    assert [problem["number"] for problem in done["problems"]] == [1, 2]
