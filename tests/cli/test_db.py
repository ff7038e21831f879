"""`qforge db …`: what it prints, the first time and the second, to people and to pipes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

import quantum_forge.cli.commands.db.psql
from quantum_forge.eventstore.archive import backup
from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.database.address import for_programs
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.given_address import parse_database_url
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.server.binaries import tool_path
from tests.conftest import Qforge, command_line, in_process

NAMES = [revision.name for revision in migrations.revisions()]


@pytest.fixture
def on_empty(
    empty_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Qforge:
    """Run the command line against a database without tables."""
    return in_process(empty_database, tmp_path, monkeypatch, capfd)


def test_upgrade_says_what_it_did_and_that_nothing_is_left_to_do(on_empty: Qforge) -> None:
    """The first run lists the migrations; the second says that the database is up to date."""
    first, second = on_empty("db", "upgrade"), on_empty("db", "upgrade")

    assert [line.split("\t")[:2] for line in first.stdout.splitlines()] == [
        ["applied", name] for name in NAMES
    ]
    assert f"now at revision {NAMES[-1]}" in first.stderr
    assert second.stdout == ""
    assert f"already at revision {NAMES[-1]}" in second.stderr


def test_downgrade_goes_one_step_or_to_the_base(qforge_here: Qforge) -> None:
    """One step by default; at the base there is nothing to undo."""
    assert qforge_here("db", "downgrade", "--yes").stdout.startswith(f"undone\t{NAMES[-1]}\t")
    assert qforge_here("db", "current").stdout == f"{NAMES[-2]}\n"

    qforge_here("db", "downgrade", "base", "--yes")
    assert qforge_here("db", "current").stdout == "base\n"
    assert "nothing to undo" in qforge_here("db", "downgrade", "base", "--yes").stderr


def test_deleting_needs_a_yes(qforge_here: Qforge) -> None:
    """A script that forgot --yes deletes nothing."""
    for command in ("reset", "downgrade"):
        assert "add --yes" in qforge_here("db", command, status=2).stderr

    assert qforge_here("db", "check").stdout


def test_reset_empties_the_log(qforge_here: Qforge, database: Database) -> None:
    """What was there is gone, what is needed is there, and again."""
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE event_logs ADD COLUMN witness int"))

    for _ in range(2):
        assert f"empty, at revision {NAMES[-1]}" in qforge_here("db", "reset", "--yes").stderr

    with database.engine.connect() as connection:
        columns = connection.execute(text("SELECT * FROM event_logs")).keys()
    assert "witness" not in columns


def test_sql_is_printed_and_runs_in_psql(
    on_empty: Qforge, empty_database: Database, tmp_path: Path
) -> None:
    """The pipe from the help works, and `db psql` stops at nothing."""
    piped = command_line(tmp_path, DATABASE_URL=libpq_url(empty_database.url))
    script = on_empty("db", "upgrade", "--sql").stdout
    assert on_empty("db", "current").stdout == "base\n"

    piped("db", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", input=script)
    assert on_empty("db", "check").stdout

    script = on_empty("db", "downgrade", "-1", "--sql").stdout
    piped("db", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", input=script)
    assert on_empty("db", "current").stdout == f"{NAMES[-2]}\n"


def test_json_is_for_programs(qforge_here: Qforge) -> None:
    """Piped JSON is one line with what the tables say."""
    at = json.loads(qforge_here("db", "current", "--json").stdout)
    check = json.loads(qforge_here("db", "check", "--json").stdout)

    assert at == {"current": NAMES[-1], "head": NAMES[-1], "pending": []}
    assert check["migrations"] == at
    assert check["health"]["is_ready"] is True


def test_url_hides_the_password_unless_asked(tmp_path: Path) -> None:
    """The address can be shown to others, or given to psql."""
    qforge = command_line(tmp_path, DATABASE_URL="postgres://u:hidden@h/d?sslmode=require")

    assert qforge("db", "url").stdout == "postgresql://u:***@h/d?sslmode=require\n"
    shown = qforge("db", "url", "--show-password")
    assert shown.stdout == "postgresql://u:hidden@h/d?sslmode=require\n"

    secrets = {"DATABASE_URL": "postgres://u@h/d?password=hidden&sslpassword=hidden+2&port=5433"}
    assert qforge("db", "url", env=secrets).stdout == (
        "postgresql://u:***@h:5433/d?sslpassword=***\n"
    )
    shown = qforge("db", "url", "--show-password", env=secrets)
    assert shown.stdout == "postgresql://u:hidden@h:5433/d?sslpassword=hidden%2B2\n"


def test_help_does_not_teach_to_put_the_password_into_arguments(tmp_path: Path) -> None:
    """Every user of the machine can read them."""
    said = command_line(tmp_path)("db", "url", "--help").stdout

    assert 'DATABASE_URL="$(qforge db url --show-password)"' in said
    assert said.count("$(") == 1


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what each PostgreSQL program was started with."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def watched(name: str, *_: object) -> Path:
        wrapper = folder / f"watched_{name}"
        wrapper.write_text(
            f"""#!/bin/sh
case "$*" in *--list*) ;; *)
    tr '\\0' '\\n' < /proc/$$/cmdline > {folder}/{name}.arguments
    printf '%s\\n' "$PGPASSWORD" > {folder}/{name}.password
    stat -c %a "$PGSERVICEFILE" > {folder}/{name}.mode
    cat "$PGSERVICEFILE" > {folder}/{name}.service
esac
exec {tool_path(name)} "$@"
"""
        )
        wrapper.chmod(0o700)
        return wrapper

    monkeypatch.setattr(quantum_forge.cli.commands.db.psql, "tool_path", watched)
    monkeypatch.setattr(backup, "tool_of", watched)
    return folder


def test_programs_get_secrets_and_never_in_their_arguments(
    programs: Path, qforge_here: Qforge, database: Database
) -> None:
    """The password is in a variable, other secrets are in a file of mode 0600."""
    url = database.url.set(password="hidden").update_query_dict(
        {"password": "hidden too", "sslpassword": "hidden three"}
    )

    def run(*arguments: str) -> str:
        return qforge_here(*arguments, env={"DATABASE_URL": libpq_url(url)}).stdout

    its_own = run("db", "psql", "-Xc", "\\! tr '\\0' '\\n' < /proc/$PPID/cmdline")
    run("db", "backup", "whole.dump")
    run("db", "restore", "whole.dump")

    assert "postgresql://" in its_own
    assert "hidden" not in its_own
    for name in ("psql", "pg_dump", "pg_restore"):
        arguments = (programs / f"{name}.arguments").read_text()
        assert "postgresql://" in arguments
        assert "hidden" not in arguments
        password = (programs / f"{name}.password").read_text().strip()
        # A superuser's restore logs in as a role without rights, made for it.
        assert password
        assert (password == "hidden too") == (name != "pg_restore")
        assert password not in arguments
        assert (programs / f"{name}.mode").read_text() == "600\n"
        service = (programs / f"{name}.service").read_text()
        assert service == "[qforge]\nsslpassword=hidden three\n"


def test_psql_gets_its_arguments_and_gives_its_status(qforge_here: Qforge) -> None:
    """Options after `psql` are psql's own, and its failure is the command's."""
    answer = qforge_here("db", "psql", "-XAtc", "SELECT version_num FROM qforge_version")
    assert answer.stdout == f"{NAMES[-1]}\n"

    qforge_here("db", "psql", "-Xc", "SELECT nonsense", status=1)


def test_an_unknown_revision_is_one_clear_line(qforge_here: Qforge) -> None:
    """The error says what can be given."""
    done = qforge_here("db", "upgrade", "nonsense", status=2)

    assert done.stderr.startswith("Error: there is no migration 'nonsense'; give a revision")


def test_a_bare_machine_needs_no_settings_and_no_migration(tmp_path: Path) -> None:
    """The embedded server is made, migrated at first use, and gone when the command is."""
    qforge = command_line(tmp_path)

    assert f"Migrated the embedded database: {len(NAMES)} migrations" in qforge("status").stderr

    assert "Migrated" not in qforge("status").stderr
    assert str(tmp_path / "home/postgres") in qforge("db", "check").stdout
    assert not (tmp_path / "home/postgres/data/postmaster.pid").exists()
    assert "qforge server status" in qforge("db", "url").stderr


def test_a_terminated_command_takes_its_server_with_it(tmp_path: Path) -> None:
    """SIGTERM, as from a batch system, is an orderly end."""
    qforge = command_line(tmp_path)
    qforge("db", "upgrade")
    waiting = subprocess.Popen(
        [sys.executable, "-c", TERMINATED, "db", "check"],
        env={"QFORGE_HOME": str(tmp_path / "home"), "QFORGE_SERVER_LINGER": "0"},
        cwd=tmp_path,
    )

    assert waiting.wait(60) == 128 + signal.SIGTERM

    assert not (tmp_path / "home/postgres/data/postmaster.pid").exists()


TERMINATED = """
import os, signal, time
from quantum_forge.eventstore import database
import quantum_forge.cli.commands.db.check, quantum_forge.cli.main
def health(engine):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
quantum_forge.cli.commands.db.check.health = health
quantum_forge.cli.main.main()
"""


def test_a_reader_who_leaves_early_is_no_error(tmp_path: Path) -> None:
    """`qforge … | head -1` ends quietly."""
    script = f'"{sys.executable}" -m quantum_forge.cli.main db upgrade --sql 2>"$0" | head -1'
    done = subprocess.run(
        ["/bin/sh", "-c", script, str(tmp_path / "stderr")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout
    assert (tmp_path / "stderr").read_text() == ""


def test_a_secret_that_no_file_can_hold_is_refused_without_being_quoted() -> None:
    """A service of the user's own cannot be joined with one of ours, nor a line broken."""
    for query in (
        "service=mine&sslpassword=hidden",
        "sslpassword=hidden%0A",
        "sslpassword=hidden%20",
    ):
        with (
            pytest.raises(InvalidSetting) as caught,
            for_programs(parse_database_url(f"postgresql://u@h/d?{query}")),
        ):
            pass
        assert "sslpassword" in str(caught.value)
        assert "hidden" not in str(caught.value)
