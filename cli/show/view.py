"""--wide and --columns: which columns of a table a command prints."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_KEY = "qforge.view"


class View(NamedTuple):
    """What was asked for: every column, or these; otherwise as many as the terminal is wide for."""

    wide: bool = False
    columns: tuple[str, ...] = ()


def view_options(*, several: bool = False) -> Callable[[Command], Command]:
    """--wide and --columns, which the tables of the command heed; the command receives neither.

    several: for a command that prints several tables, where no column is in all: --wide only.
    """

    def both(command: Command) -> Command:
        wide = click.option(
            "--wide",
            is_flag=True,
            expose_value=False,
            callback=_remember_wide,
            help="Show every column, one line for each where the terminal is too narrow.",
        )
        columns = click.option(
            "--columns",
            metavar="A,B,…",
            expose_value=False,
            callback=_remember_columns,
            help="Show these columns only, in this order.",
        )
        return wide(command if several else columns(command))

    return both


def current_view() -> View:
    """The view that the running command was asked for."""
    context = click.get_current_context(silent=True)
    view = View() if context is None else context.meta.get(_KEY, View())
    assert isinstance(view, View)
    return view


def _remember_wide(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _remember(context, View(wide=True))


def _remember_columns(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("give the names of columns, separated by commas")
    _remember(context, View(columns=names))


def _remember(context: click.Context, view: View) -> None:
    if _KEY in context.meta:
        raise click.UsageError("--wide and --columns contradict each other; give one of them")
    context.meta[_KEY] = view
