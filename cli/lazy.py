"""A command group that imports a command only when it is called."""

from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from quantum_forge.cli.command import Group
from quantum_forge.eventstore.base.suggestion import suggestion


class Lazy(NamedTuple):
    """Where a command is ("module:attribute"), and its line in the group's help."""

    target: str
    summary: str


class LazyGroup(Group):
    """A group whose commands are named in a table: help and completion import none of them."""

    def __init__(self, *args: object, table: dict[str, Lazy], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own, passed through
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the commands in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name].target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; the error for an unknown one suggests similar ones of the table."""
        name = args[0]
        if name not in self.table and not name.startswith("-") and not ctx.resilient_parsing:
            hint = suggestion(name, self.table, otherwise="")
            raise click.UsageError(f"No such command {name!r}. {hint}".rstrip(), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, from the table, and the options."""
        commands = [
            CompletionItem(name, help=lazy.summary)
            for name, lazy in self.table.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands and their summaries from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.table.items()])
