"""A .smi file whose lines end with a bare carriage return."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Three molecules with their names."""
    done = json.loads(qforge("run", str(folder / "mac.smi"), "--json").stdout)

    assert (done["read"], done["completed"]) == (3, 3)
    assert done["file"]["lines"] == 3
    rows = json.loads(qforge("molecules", "list", "--json").stdout)
    assert {row["name"] for row in rows} == {"ethanol", "ethylamine", "propane"}
