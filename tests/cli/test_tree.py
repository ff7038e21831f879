"""The command tree as it is: every command explains itself, and asking for help loads nothing."""

import gc
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from quantum_forge.cli.command import Command
from quantum_forge.cli.lazy import LazyGroup
from quantum_forge.cli.main import qforge
from quantum_forge.eventstore.database.engine import Database, libpq_url
from tests.conftest import Qforge


def walk(
    command: click.Command, path: tuple[str, ...] = ("qforge",)
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group with its full name."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk(child, (*path, name))


TREE = dict(walk(qforge))


@pytest.mark.parametrize("name", TREE)
def test_every_command_has_help_with_an_example(name: str) -> None:
    """Whoever types --help sees a sentence, and a line to copy that names the command."""
    command = TREE[name]

    assert command.help, f"{name} has no help"
    sentence, _, example = command.help.partition("Example:")
    assert sentence.strip(), f"{name} does not say what it does"
    assert name in example, f"{name} has no Example that calls it"


@pytest.mark.parametrize("name", TREE)
def test_every_option_has_help(name: str) -> None:
    """No option must be guessed from its name."""
    silent = [
        parameter.name
        for parameter in TREE[name].params
        if isinstance(parameter, click.Option) and not parameter.help
    ]

    assert not silent, f"{name}: no help for {silent}"


def test_limit_means_one_thing_in_every_command() -> None:
    """The first so many of what a command prints or takes up, at least one."""
    limits = {
        name: parameter
        for name, command in TREE.items()
        for parameter in command.params
        if parameter.name == "limit"
    }

    assert len(limits) > 10
    for name, parameter in limits.items():
        assert isinstance(parameter, click.Option)
        assert re.match(r"(Print|Read|Compute|Export) at most this many: ", parameter.help or ""), (
            name
        )
        assert isinstance(parameter.type, click.IntRange), name
        assert parameter.type.min == 1, name


@pytest.mark.parametrize("name", TREE)
def test_every_command_refuses_contradicting_options(name: str) -> None:
    """None of them takes the last of several values without a word."""
    assert isinstance(TREE[name], Command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "a.smi", "--method", "GFN1-xTB", "--method", "GFN2-xTB"],
            "--method is given more than once, with GFN1-xTB and GFN2-xTB; give it once.",
        ),
        (
            ["calculations", "list", "--limit=3", "--status", "failed", "--limit", "4"],
            "--limit is given more than once, with 3 and 4; give it once.",
        ),
        (["audit", "--csv", "--json"], "--csv and --json contradict each other; give one of them."),
        (
            ["db", "roles", "--restrict-advisory-locks", "--allow-advisory-locks"],
            "--restrict-advisory-locks and --allow-advisory-locks contradict each other; "
            "give one of them.",
        ),
    ],
)
def test_contradicting_options_are_refused(
    qforge_here: Qforge, arguments: list[str], message: str
) -> None:
    """Two values for what takes one are a mistake that no one of them answers."""
    refused = qforge_here(*arguments, status=2)

    assert message in refused.stderr
    assert refused.stdout == ""


def test_the_same_value_twice_and_repeatable_options_are_accepted(qforge_here: Qforge) -> None:
    """A script may append what was given already."""
    several = ["--status", "failed", "--status", "lost", "--limit", "3", "--limit", "3", "--json"]

    assert json.loads(qforge_here("calculations", "list", *several, "--json").stdout) == []


@pytest.mark.parametrize("name", TREE)
def test_every_argument_is_explained(name: str) -> None:
    """An argument has no help of its own in click, so that the command's text names it."""
    command = TREE[name]
    usage = click.Context(command)
    silent = [
        argument
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        and (argument := parameter.make_metavar(usage).strip("[].")) not in (command.help or "")
    ]

    assert not silent, f"{name}: the help does not mention {silent}"


SUMMARIES = {
    f"{group} {name}": lazy.summary
    for group, command in TREE.items()
    if isinstance(command, LazyGroup)
    for name, lazy in command.table.items()
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_summary_in_the_table_is_the_commands_own(name: str) -> None:
    """The list of commands, written without importing them, does not drift from their help."""
    assert TREE[name].get_short_help_str(200) == SUMMARIES[name]


def test_help_imports_neither_commands_nor_their_libraries() -> None:
    """`qforge --help` answers at once."""
    probe = """
import sys
from quantum_forge.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(*(name for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert "quantum_forge.cli.main" in loaded
    assert not loaded & {
        "quantum_forge.cli.commands.db.group",
        "sqlalchemy",
        "psycopg",
        "alembic",
        "rich",
        "rdkit",
        "numpy",
    }


READ = """
import sys
from quantum_forge.cli.main import main
for arguments in (["molecules", "list"], ["events", "list"], ["status"]):
    try:
        main(arguments)
    except SystemExit as exit:
        assert not exit.code
print(*(name for name in sys.modules), file=sys.stderr)
"""


def test_reading_commands_import_nothing_that_they_do_not_need(
    database: Database, tmp_path: Path
) -> None:
    """Neither what folds anew, verifies or computes, nor its libraries: the answer comes soon."""
    done = subprocess.run(
        [sys.executable, "-c", READ],
        cwd=tmp_path,
        env={"DATABASE_URL": libpq_url(database.url), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stderr.split())
    assert "quantum_forge.cli.commands.queries.molecules" in loaded
    assert not loaded & {
        "alembic",
        "argon2",
        "ase",
        "cryptography",
        "numpy",
        "pandas",
        "psycopg_pool",
        "pyarrow",
        "rdkit",
        "rich",
        "sqlalchemy.ext.asyncio",
        "tblite",
        "quantum_forge.asynchronous",
        "quantum_forge.datasets",
        "quantum_forge.eventstore.doctor.examination",
        "quantum_forge.projections.follow.background",
        "quantum_forge.projections.history.lineage",
        "quantum_forge.projections.history.verify",
        "quantum_forge.projections.rebuild",
        "quantum_forge.runner",
    }


def test_garbage_is_collected_from_the_import_of_a_command_on() -> None:
    """`main` pauses it for the start; a long campaign must not grow without end."""
    gc.disable()
    try:
        qforge.get_command(click.Context(qforge), "run")

        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_an_unknown_command_is_one_clear_error() -> None:
    """A typing error ends with status 2, and says how to get help."""
    done = subprocess.run(
        [sys.executable, "-m", "quantum_forge.cli.main", "molecule"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "No such command 'molecule'. did you mean molecules?" in done.stderr
    assert "--help" in done.stderr
    assert done.stdout == ""
