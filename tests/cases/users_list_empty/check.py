"""A list shows what was recorded a moment ago, and no command asks for a projector to be run."""

import json
from pathlib import Path

from tests.conftest import Qforge


def check(folder: Path, qforge: Qforge) -> None:  # noqa: ARG001  # every case has both
    """A registered user is listed, and an export leaves nothing to project."""
    qforge("users", "register", "ada", "--email", "ada@example.org", "--no-password")
    listed = qforge("users", "list", "--json")
    (user,) = json.loads(listed.stdout)
    assert (user["username"], listed.stderr) == ("ada", "")

    qforge("dataset", "export", "empty")
    status = qforge("status")
    assert "not projected" not in status.stderr
