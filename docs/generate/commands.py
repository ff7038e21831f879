"""Reference of the command line, from the live tree of click commands."""

import inspect
from collections.abc import Iterator

import click

from quantum_forge.cli.main import qforge

EXIT_STATUSES = """\
| exit status | meaning |
|---|---|
| 0 | the command did what it was asked for, and every input of it succeeded |
| 1 | an error, or a command that works through many inputs (`run`, `retry`, `properties compute`, \
`import`, `events append`, `dead-letters retry`) had none that succeeded |
| 2 | the user can correct the cause: an option, a file, a setting, an unreachable database |
| 3 | such a command did its work, and some of its inputs failed |
| 70 | a fault of the program |
| 128 + N | signal N stopped the command: 130 after Ctrl-C |
"""


def commands_page() -> str:
    """A section for each command: usage, help, arguments and options."""
    return "\n".join(
        [
            "# Commands\n",
            "Every command of `qforge`, as `--help` shows it.\n",
            EXIT_STATUSES,
            *_section(qforge, click.Context(qforge, info_name="qforge"), level=2),
        ]
    )


def _section(command: click.Command, context: click.Context, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield from _help(command.help or "")
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield "| option | meaning |"
        yield "|---|---|"
        yield from (_row(option, context) for option in options if not option.hidden)
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            inner = click.Context(child, parent=context, info_name=name)
            yield from _section(child, inner, level=min(level + 1, 4))


def _help(text: str) -> Iterator[str]:
    """Paragraphs as text; those that click must not wrap as they stand."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{paragraph.lstrip(chr(8)).strip(chr(10))}\n```\n"
        else:
            yield _escaped(paragraph) + "\n"


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None
    names, meaning = record
    return f"| `{names.replace('|', chr(92) + '|')}` | {_escaped(meaning)} |"


def _escaped(text: str) -> str:
    for character in "\\|<>*_[]":
        text = text.replace(character, f"\\{character}")
    return text
