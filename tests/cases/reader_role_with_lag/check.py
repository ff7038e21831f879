"""A login that reads the tables alone lists them while they lag behind the log."""

from pathlib import Path

from tests.conftest import Qforge
from tests.support.logins import login


def check(folder: Path, qforge: Qforge) -> None:  # noqa: ARG001  # has no inputs
    """It cannot read the log, and needs not: one line says that the tables are behind it."""
    recorders = ("qforge_appender", "qforge_auditor")
    with login(qforge, "qforge_reader") as rita, login(qforge, *recorders) as alice:
        event = ("project_created", "--data", '{"name": "Malaria"}')
        qforge("record", *event, env=alice)

        listed = qforge("calculations", "list", env=rita)
        projects = qforge("projects", "list", env=rita)

    assert "Error" not in listed.stderr
    assert "Not up to date: projects" in projects.stderr
    assert len(projects.stderr.splitlines()) == 1
