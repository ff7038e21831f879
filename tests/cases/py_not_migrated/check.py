"""The Python example of the README, on a database without tables, and run twice on one with."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cases.foreign import database_with
from tests.conftest import OTHERS_VARIABLES, Qforge

README = Path(__file__).parents[3] / "README.md"


def check(_: Path, qforge: Qforge) -> None:
    """The error says to migrate; on a migrated database it works, as often as it is run."""
    found = re.search(r"^```python\n(import quantum_forge.*?)^```", README.read_text(), re.M | re.S)
    assert found is not None
    with database_with(qforge, "SELECT 1") as address:
        refused = _run(found[1], address)
        assert refused.returncode == 1
        last = refused.stderr.splitlines()[-1]
        assert last.endswith("the database was never migrated; run: qforge db upgrade")

    migrated = qforge("db", "url", "--show-password").stdout.strip()
    for _attempt in range(2):
        done = _run(found[1], migrated)
        assert done.returncode == 0, done.stderr


def _run(program: str, address: str) -> "subprocess.CompletedProcess[str]":
    others = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS_VARIABLES)}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**others, "DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=False,
    )
