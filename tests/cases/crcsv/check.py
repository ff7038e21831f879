"""Spreadsheets as .csv: bare carriage returns, and UTF-16 (onadata #757, petl #292, arlo #883)."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:
    """Every row is read, whatever the encoding and the line ends are."""
    mac = json.loads(qforge("run", str(folder / "mac.csv"), "--json").stdout)
    utf16 = json.loads(qforge("run", str(folder / "utf16.csv"), "--json").stdout)

    assert (mac["read"], mac["completed"], mac["file"]["lines"]) == (3, 3, 4)
    assert (utf16["read"], utf16["failed"], utf16["file"]["lines"]) == (1, 0, 2)
    rows = json.loads(qforge("molecules", "list", "--json").stdout)
    assert {row["name"] for row in rows} == {"ethanol", "ethylamine", "propane"}
