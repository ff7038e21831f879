"""Every command, with every kind of broken settings: one clear line, and no traceback."""

import contextlib
import os
import re
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import click
import pytest
from sqlalchemy import Engine, text

from quantum_forge.cli.main import FAULT, UNFORESEEN, main
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.cli.test_tree import TREE
from tests.conftest import OTHERS_VARIABLES, Qforge
from tests.support.nobody import NOBODY, as_nobody

COMMANDS = {
    name: command
    for name, command in TREE.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
}

VALUES: dict[str, str] = {
    "table": "molecules",
    "email": "ada@example.org",
    "days": "30",
}
"""Values of parameters by their names; files are made, and ids and words are invented."""

FILE = "molecules.smi"
FILES = {"qforge import events": "events.jsonl"}

MORE = {
    "qforge project": ["--once"],  # else it waits for the database, and follows the log
    "qforge notify": ["--once"],  # as well
    "qforge retract": ["--dry-run"],
    "qforge record": ["project_created", "--data", '{"name": "x"}'],
    "qforge rebuild": ["molecules"],
    "qforge as-of": ["1", "molecules"],
    "qforge diff": ["molecules", "--from", "1"],
    "qforge dead-letters discard": ["molecules", "1"],
}
"""What a command is given instead, where its parameters alone do not say."""


def arguments_of(name: str, command: click.Command, folder: Path) -> list[str]:
    """What a user types at least: the command's words and a value for each required parameter."""
    words = name.split()[1:]
    if name in MORE:
        return words + MORE[name]
    for parameter in command.params:
        if not parameter.required:
            continue
        value = _value_of(name, parameter, folder)
        words += [value] if isinstance(parameter, click.Argument) else [parameter.opts[-1], value]
    return words


def _value_of(name: str, parameter: click.Parameter, folder: Path) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return str(next(iter(kind.choices)))
    if isinstance(kind, click.Path | click.File):
        return str(folder if parameter.name == "directory" else folder / FILES.get(name, FILE))
    if parameter.name in VALUES:
        return VALUES[parameter.name]
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return "1"
    return str(uuid4())


class Outcome:
    """What a command did: its exit status and its words on stderr."""

    def __init__(self, name: str, status: object, stdout: str, stderr: str) -> None:
        self.name = name
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    @property
    def fault(self) -> str | None:
        """What is wrong with how it ended; None if it is as it should be."""
        said = self.stdout + self.stderr
        errors = re.findall(r"^(?:Error|Usage): .*$", self.stderr, re.MULTILINE)
        if "Traceback" in said or UNFORESEEN in said or self.status == FAULT:
            return "a traceback"
        if self.status == 0:
            return f"an error with status 0: {errors[0]}" if errors else None
        if not isinstance(self.status, int):
            return f"the status {self.status!r}"
        if self.name in ("qforge doctor", "qforge spool status"):
            return None  # their findings are their output
        if not errors:
            return "no line that says what is wrong"
        if len(errors[0]) > 1000:
            return f"a line of {len(errors[0])} characters"
        return None


Try = Callable[..., dict[str, Outcome]]


@pytest.fixture
def try_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Try:
    """Return a function that runs every command with these variables, and fails for a traceback."""
    (tmp_path / FILE).write_text("C methane\n")
    (tmp_path / "events.jsonl").write_text("")
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o055)  # some tests are an ordinary user
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(OTHERS_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QFORGE_SERVER_LINGER", "0")
    monkeypatch.setenv("QFORGE_HOME", str(tmp_path / "home"))

    def run_all(leave_out: tuple[str, ...] = (), **variables: str | None) -> dict[str, Outcome]:
        outcomes = {}
        for name, command in COMMANDS.items():
            if name.startswith(tuple(f"qforge {each}" for each in leave_out)):
                continue
            with monkeypatch.context() as patch:
                for variable, value in variables.items():
                    if value is None:
                        patch.delenv(variable, raising=False)
                    else:
                        patch.setenv(variable, value)
                outcomes[name] = _run(name, arguments_of(name, command, tmp_path), capfd)
        wrong = {
            f"{name}: {each.fault}": each.stderr[-600:]
            for name, each in outcomes.items()
            if each.fault
        }
        assert not wrong, "\n\n".join(f"{name}\n{said}" for name, said in wrong.items())
        return outcomes

    return run_all


def _run(name: str, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> Outcome:
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    capfd.readouterr()
    status: object = None
    try:
        main(arguments)
    except SystemExit as exited:
        status = exited.code
    except BaseException as error:  # whatever gets out is a fault
        status = error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = capfd.readouterr()
    return Outcome(name, status, said.out, said.err)


NEEDS_NO_DATABASE = (
    "qforge completion",
    "qforge server",
    "qforge spool status",
    "qforge db url",
    "qforge db encryption-key",
    "qforge db migration",
    "qforge db upgrade --sql",
    # What reads a file of its own first.
    "qforge import events",
    "qforge events append",
    "qforge dataset diff",
    "qforge dataset reproduce",
    "qforge doctor",
)


def refused(outcomes: dict[str, Outcome], *words: str) -> None:
    """Check that what needs the database failed, and that the words are in the line."""
    for name, outcome in outcomes.items():
        if name.startswith(NEEDS_NO_DATABASE):
            continue
        assert outcome.status != 0, name
        errors = [line for line in outcome.stderr.splitlines() if line.startswith("Error:")]
        about_arguments = outcome.status == 2 and "Try 'qforge" in outcome.stderr
        if not about_arguments and not any(word in line for line in errors for word in words):
            raise AssertionError(f"{name}: {outcome.stderr}")
    assert any(word in outcomes["qforge status"].stderr for word in words)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"}, "no connection to 127.0.0.1:1"),
        ({"DATABASE_URL": "postgresql://u@nosuch.invalid/d"}, "no connection to nosuch.invalid"),
        ({"DATABASE_URL": "postgresql://u@h:x/d"}, "DATABASE_URL must have a port"),
        ({"DATABASE_URL": "sqlite:///x"}, "only PostgreSQL"),
        ({"POSTGRES_HOST": "a,b", "POSTGRES_PORT": "1,2,3"}, "POSTGRES_PORT has 3 ports"),
        ({"QFORGE_TENANT_ID": "me"}, "QFORGE_TENANT_ID must be a UUID"),
        ({"QFORGE_USER_ID": "a b"}, "QFORGE_USER_ID must be a user name"),
        ({"QFORGE_DEADLINE": "soon"}, "QFORGE_DEADLINE must be a number"),
        ({"QFORGE_SERVER_LINGER": "-1"}, "QFORGE_SERVER_LINGER must be a number"),
        ({"QFORGE_DOMAINS": "1a"}, "QFORGE_DOMAINS must name modules"),
        ({"QFORGE_DOMAINS": "nosuch_module"}, "there is no module nosuch_module"),
        ({"QFORGE_HOME": "~nosuchuser/x"}, "QFORGE_HOME begins with ~"),
    ],
)
def test_a_bad_setting_is_one_clear_line(
    try_all: Try, variables: dict[str, str], words: str
) -> None:
    """Of every command that needs the setting."""
    refused(try_all(**variables), words)


@pytest.mark.parametrize("line", ["A B=1", "QFORGE_TENANT_ID='open"])
def test_a_broken_dotenv_is_one_clear_line(try_all: Try, tmp_path: Path, line: str) -> None:
    """With the number of the line."""
    (tmp_path / ".env").write_text(f"{line}\n")
    refused(try_all(), ".env, line 1")


def test_a_broken_domain_is_one_clear_line(
    try_all: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its module raises."""
    (tmp_path / "brokenlab.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    refused(try_all(QFORGE_DOMAINS="brokenlab"), "the domain brokenlab cannot be used")


def test_a_home_that_cannot_be_used_is_one_clear_line(try_all: Try, tmp_path: Path) -> None:
    """It is a file, or is below one."""
    file = tmp_path / "file"
    file.write_text("")
    refused(try_all(QFORGE_HOME=str(file)), str(file))
    refused(try_all(QFORGE_HOME=str(file / "below")), str(file))


def test_a_read_only_home_is_one_clear_line(try_all: Try, tmp_path: Path) -> None:
    """Of a user who may not write there: with a server in it, or nothing."""
    home = tmp_path / "home"
    (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "PG_VERSION").write_text("18\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (home, empty, *home.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        with as_nobody():
            refused(try_all(), "cannot")
            refused(try_all(QFORGE_HOME=str(empty)), "cannot")
    finally:
        for path in (home, empty, *home.rglob("*")):
            path.chmod(0o700)


def test_a_user_without_a_home_is_one_clear_line(
    try_all: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs under any number; nothing is made in the working directory."""
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    refused(try_all(HOME=None, QFORGE_HOME=None, XDG_DATA_HOME=None), "QFORGE_HOME must be set")
    assert set(tmp_path.iterdir()) == before


def test_a_database_that_does_not_exist_is_one_clear_line(try_all: Try, database: Database) -> None:
    """With the name, and how to make it."""
    refused(try_all(DATABASE_URL=libpq_url(database.url.set(database="nosuch"))), "'nosuch'")


def test_an_empty_database_is_one_clear_line(try_all: Try, empty_database: Database) -> None:
    """Which says how it is migrated."""
    url = libpq_url(empty_database.url)
    changing = ("db upgrade", "db downgrade", "db reset", "db current", "db roles", "db psql")
    refused(try_all(changing, DATABASE_URL=url), "qforge db upgrade", "not a complete backup")


def test_another_revision_is_one_clear_line(
    try_all: Try, database: Database, qforge_here: Qforge
) -> None:
    """An older one is to be migrated, a newer one needs a newer program."""
    for revision, words in (("0029", "qforge db upgrade"), ("0001", "df996eb"), ("9999", "newer")):
        with database.engine.begin() as connection:
            connection.execute(
                text("UPDATE qforge_version SET version_num = :to"), {"to": revision}
            )
        assert words in qforge_here("status", status=2).stderr
    changing = ("db upgrade", "db downgrade", "db reset", "db current", "db roles", "db psql")
    outcomes = try_all(changing, DATABASE_URL=libpq_url(database.url))
    refused(outcomes, "newer", "not a complete backup")


def test_a_login_without_rights_is_one_clear_line(
    try_all: Try, database: Database, administrator: Engine
) -> None:
    """It can connect, and do nothing."""
    name = f"stranger_{uuid4().hex[:8]}"
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
    try:
        url = libpq_url(database.url.set(username=name))
        try_all(("db psql",), DATABASE_URL=url)
    finally:
        with administrator.connect() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


def test_another_encoding_is_one_clear_line(
    try_all: Try, server: EmbeddedServer, administrator: Engine
) -> None:
    """LATIN1 does not hold every name."""
    name = f"latin_{uuid4().hex[:8]}"
    with administrator.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        )
    try:
        refused(try_all(("db psql",), DATABASE_URL=libpq_url(server.url(name))), "LATIN1")
    finally:
        with administrator.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_a_closed_input_is_one_clear_line(
    try_all: Try, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would ask for a password or a confirmation says that it cannot."""
    monkeypatch.setattr(sys, "stdin", None)
    # These serve, print SQL or compute; a search that finds nothing ends with 1, and no error.
    skipped = ("db psql", "db migration", "run", "search", "serve", "ui")
    try_all(skipped, DATABASE_URL=libpq_url(database.url))
    assert sys.stdin is not None
    sys.stdin.close()  # what stands in for it


GERMAN = {
    "28P01": "Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen",
    "28000": "kein pg_hba.conf-Eintrag für Host »127.0.0.1«",
    "3D000": "Datenbank »d« existiert nicht",
    "53300": "tut mir leid, schon zu viele Verbindungen",
    "57P03": "das Datenbanksystem startet",
    "42501": "keine Berechtigung für Datenbank »d«",
    "55000": "Datenbank »d« akzeptiert gegenwärtig keine Verbindungen",
}
ADVICE = {
    "28P01": "correct the password in DATABASE_URL",
    "28000": "correct the user in DATABASE_URL",
    "3D000": "create it (createdb)",
    "53300": "has no free connection",
    "57P03": "is starting or stopping",
    "42501": "grant CONNECT",
    "55000": "see the log of the server",
}


@contextlib.contextmanager
def refusing_server(sqlstate: str) -> Iterator[int]:
    """A server that refuses every connection in German; gives its port."""
    fields = {"S": "SCHWERWIEGEND", "V": "FATAL", "C": sqlstate, "M": GERMAN[sqlstate]}
    body = b"".join(key.encode() + value.encode() + b"\0" for key, value in fields.items()) + b"\0"
    message = b"E" + struct.pack(">i", len(body) + 4) + body
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    while True:
                        length = struct.unpack(">i", client.recv(4, socket.MSG_WAITALL))[0]
                        code = client.recv(length - 4, socket.MSG_WAITALL)[:4]
                        if code in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                            client.sendall(b"N")  # neither TLS nor GSSAPI
                            continue
                        client.sendall(message)
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@pytest.mark.parametrize("sqlstate", GERMAN)
def test_a_refusal_is_understood_in_every_language(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    sqlstate: str,
) -> None:
    """By its SQLSTATE, never by its text."""
    with refusing_server(sqlstate) as port, monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("DATABASE_URL", f"postgresql://u:pw@127.0.0.1:{port}/d")
        outcome = _run("status", ["status"], capfd)

    assert outcome.status == 2
    assert ADVICE[sqlstate] in outcome.stderr
