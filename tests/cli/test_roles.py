"""Roles of users and of the database, and the commands that each is for."""

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import click
import pytest
from sqlalchemy import text

from quantum_forge.cli.permissions import CHECKS_ITSELF, LEAST_ROLE
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.installation.roles import PURPOSES
from quantum_forge.schema.domains import EVENT_TYPES
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.permissions import LEAST_ROLE as LEAST_ROLE_TO_RECORD
from tests.cli.test_tree import TREE
from tests.conftest import Qforge
from tests.eventstore.database.availability.test_standby import COMMANDS

LEAVES = {
    name.removeprefix("qforge ")
    for name, command in TREE.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
} - {""}
WITHOUT_A_USER = {
    "completion",
    "db check",
    "db current",
    "db encryption-key",
    "db migration new",
    "db roles",
    "db url",
    "doctor",
    "server status",
    "server stop",
    "spool status",
}
"""Commands that ask for no user: they change nothing in the database, or are a way into it."""

TABLES = [
    "batches list",
    "batches show",
    "calculations list",
    "dead-letters list",
    "metrics",
    "metrics show",
    "molecules list",
    "molecules search",
    "molecules show",
    "organizations list",
    "organizations members",
    "projects list",
    "search",
    "users list",
    "whoami",
]
LOG = [
    "as-of",
    "audit",
    "calculations show",
    "dataset diff",
    "dataset reproduce",
    "diff",
    "events list",
    "explain",
    "retention show",
    "status",
    "verify",
]
APPENDS = ["events append", "record", "spool drain", "spool report", "whoami"]
COMPUTES = ["import jobs", "properties compute", "retry", "run"]
RECORDS = ["audit --json", "dataset export", "events export", "projects create", "retract"]
ACCOUNTS = [
    *(name for name in COMMANDS if name.startswith(("organizations", "users", "projects"))),
    "dead-letters discard",
    "import events",
    "rebuild",
    "retention apply",
    "retention set",
]
"""Commands for owners and administrators, which the tests of their own run."""

FOR: Mapping[str, list[str]] = {
    "qforge_reader": TABLES,
    "qforge_auditor": [*TABLES, *LOG],
    "qforge_projector": [*TABLES, "project --once", "dead-letters retry", "retention apply"],
    "qforge_appender": APPENDS,
    "qforge_worker": APPENDS,
    "qforge_auditor, qforge_appender": [*COMPUTES, "audit", *RECORDS],
    "qforge_auditor, qforge_worker": [*COMPUTES, "audit", "calculations list"],
    "qforge_admin": [
        "import events",
        "run",
        "project --once",
        "notify --once",
        "audit",
        "db maintain",
    ],
}
"""The commands that a login with these roles is for."""

RECORDED = {
    "qforge_appender": """quantum_app_created --data {"name":"Docking"}""",
    "qforge_worker": """batch_created --data {"name":"b","parameters":{}}""",
}


def test_every_command_is_for_a_role() -> None:
    """A new command must say which role of a user it takes, and which of the database."""
    assert {*LEAST_ROLE, *CHECKS_ITSELF} == LEAVES - WITHOUT_A_USER

    walked = {command.split(" -")[0] for commands in FOR.values() for command in commands}
    # A server acts for everybody: its login owns the database, or administers it.
    owners = {name for name in LEAVES if name.startswith("db ")} | {"serve", "ui"}
    assert walked | owners | WITHOUT_A_USER | set(ACCOUNTS) >= LEAVES
    assert {role for roles in FOR for role in roles.split(", ")} == set(PURPOSES)


def test_every_event_type_takes_a_role() -> None:
    """A new type of entity must say who may record what happens to it."""
    assert {each.entity_type for each in EVENT_TYPES} == set(LEAST_ROLE_TO_RECORD)


@pytest.fixture
def known(qforge_here: Qforge, tmp_path: Path) -> dict[str, str]:
    """Return what commands are about: a computed molecule, an export, an organisation."""
    (tmp_path / "methane.smi").write_text("C methane\n")
    (tmp_path / "event.jsonl").write_text("")
    qforge_here("run", "methane.smi")
    qforge_here("events", "export", "log.jsonl")
    qforge_here("dataset", "export", "one")
    organization = qforge_here("organizations", "create", "Lab").stdout.strip()
    (calculation,) = json.loads(qforge_here("calculations", "list", "--json").stdout)
    return {
        "molecule": calculation["molecule_id"],
        "calculation": calculation["id"],
        "position": "9",
        "organization": organization,
    }


def test_each_database_role_runs_the_commands_that_it_is_for(
    qforge_here: Qforge, database: Database, known: dict[str, str]
) -> None:
    """Whatever has yet to be projected, and by whom."""
    failed = []
    for number, (roles, commands) in enumerate(FOR.items()):
        login = f"login_{uuid4().hex[:12]}"
        with database.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {login} LOGIN IN ROLE {roles}"))
        as_login = {"DATABASE_URL": libpq_url(database.url.set(username=login))}
        for command in commands:
            arguments = COMMANDS[command][1].format(**known)
            if command == "record":
                arguments = RECORDED[roles]
            arguments = arguments.replace("again.jsonl", f"log{number}.jsonl")
            done = qforge_here(*command.split(), *arguments.split(), env=as_login, status=None)
            if done.returncode != 0 or "Traceback" in done.stderr:
                failed.append((roles, command, done.stderr))

    assert failed == []


def test_a_viewer_is_refused_whatever_takes_more_before_it_does_anything(
    qforge_here: Qforge, known: dict[str, str]
) -> None:
    """Each refusal is one line, which says who can grant the role."""
    register = ("users", "register", "--no-password", "--email")
    qforge_here(*register, "ada@example.org", "ada")
    vic = qforge_here(*register, "vic@example.org", "vic", "--role", "viewer").stdout.strip()

    allowed = []
    for command, needed in LEAST_ROLE.items():
        if needed == Role.VIEWER:
            continue
        arguments = COMMANDS[command][1].format(**known).split()
        done = qforge_here(*command.split(), *arguments, env={"QFORGE_USER_ID": vic}, status=None)
        if (
            done.returncode != 1
            or f"requires the role {needed}" not in done.stderr
            or "qforge users role vic" not in done.stderr
            or done.stdout
        ):
            allowed.append((command, done.stdout, done.stderr))

    assert allowed == []


def test_sql_through_the_login_of_an_administrator_takes_an_admin(qforge_here: Qforge) -> None:
    """Whoever acts as a viewer, or as nobody of the tenant, could change everything by it."""
    psql = ("db", "psql", "-At", "-c", "SELECT 1")
    assert qforge_here(*psql).stdout == "1\n"
    register = ("users", "register", "--no-password", "--email")
    qforge_here(*register, "ada@example.org", "ada")
    vic = qforge_here(*register, "vic@example.org", "vic", "--role", "viewer").stdout.strip()

    refused = qforge_here(*psql, env={"QFORGE_USER_ID": vic}, status=1)
    assert "requires the role admin, and yours is viewer" in refused.stderr
    assert refused.stdout == ""
    qforge_here(*psql, env={"QFORGE_USER_ID": str(uuid4())}, status=1)
    assert qforge_here(*psql).stdout == "1\n"


def test_who_may_change_the_whole_database_is_asked_only_where_there_are_users(
    qforge_here: Qforge,
) -> None:
    """Neither a store without users nor a database without tables is in anybody's way."""
    stranger = {"QFORGE_USER_ID": str(uuid4())}
    qforge_here("db", "reset", "--yes", env=stranger)
    qforge_here("db", "maintain", env=stranger)
    qforge_here("db", "downgrade", "base", "--yes", env=stranger)
    qforge_here("db", "downgrade", "--yes", env=stranger)
    qforge_here("db", "upgrade", env=stranger)
    qforge_here("users", "register", "--no-password", "ada", "--email", "ada@example.org")

    refused = qforge_here("db", "upgrade", env=stranger, status=1)
    assert "does not belong to tenant" in refused.stderr
    qforge_here("db", "upgrade")
    qforge_here("db", "reset", "--yes")
