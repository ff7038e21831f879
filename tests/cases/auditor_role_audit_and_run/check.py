"""A login that audits and appends need not project: `audit` and `run` work without that right."""

import json
from pathlib import Path

from tests.conftest import Qforge
from tests.support.logins import login


def check(folder: Path, qforge: Qforge) -> None:
    """Results are recorded, and one line says who brings the tables up to date."""
    with login(qforge, "qforge_auditor", "qforge_appender") as alice:
        done = qforge("run", str(folder / "methane.smi"), "--json", env=alice)
        trail = qforge("audit", env=alice)

    assert json.loads(done.stdout)["completed"] == 1
    assert "a login with the role qforge_projector has to" in done.stderr
    assert "Error" not in done.stderr + trail.stderr
    qforge("project", "--once")
    assert json.loads(qforge("calculations", "list", "--json").stdout)[0]["status"] == "completed"
