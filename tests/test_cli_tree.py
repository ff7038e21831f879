"""The command tree as it is: every command explains itself, and asking for help loads nothing."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cli.main import COMMANDS, qforge


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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_table_is_the_commands_own(name: str) -> None:
    """The list of commands, written without importing them, does not drift from their help."""
    command = TREE[f"qforge {name}"]

    assert command.get_short_help_str(200) == COMMANDS[name].summary


def test_help_imports_neither_commands_nor_their_libraries() -> None:
    """`qforge --help` answers at once."""
    probe = """
import sys
from cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(*(name for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert "cli.main" in loaded
    assert not loaded & {"cli.db", "sqlalchemy", "psycopg", "alembic", "rich", "rdkit", "numpy"}


def test_an_unknown_command_is_one_clear_error() -> None:
    """A typing error ends with status 2, and says how to get help."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "dbb"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert "--help" in done.stderr
    assert done.stdout == ""
