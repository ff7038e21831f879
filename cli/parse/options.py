"""Options that commands share: --json, --limit, and how times and ranges are written."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy import ColumnElement, Table

from quantum_forge.eventstore.base.moments import parse_time
from quantum_forge.eventstore.log.place import Place
from quantum_forge.projections.queries.conditions import condition_of
from quantum_forge.projections.queries.lookup import hill
from quantum_forge.projections.queries.rows import Range

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(what: str = "one JSON document") -> Callable[[Command], Command]:
    """--json, which a command receives as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


def limit_option(
    what: str, default: int | None = 50, *, does: str = "Print"
) -> Callable[[Command], Command]:
    """--limit, a number of at least 1: the first so many of what a command prints or takes up.

    Args:
        what: which are the first, as `the newest`.
        default: None for all of them.
        does: what the command does with them.
    """
    return click.option(
        "--limit",
        type=click.IntRange(min=1, max=2**63 - 1),
        default=default,
        show_default=default is not None,
        help=f"{does} at most this many: {what}." + ("" if default else "  [default: all]"),
    )


def time_range_options(what: str = "") -> Callable[[Command], Command]:
    """--since and --until, the end excluded; `what` with a blank: of what it is the time."""

    def both(command: Command) -> Command:
        until = click.option(
            "--until",
            type=time,
            metavar="TIME",
            help=f"Only {what}before this time, written as for --since.",
        )
        since = click.option(
            "--since",
            type=time,
            metavar="TIME",
            help=f"Only {what}from this time on: 2026-11-20, 2026-11-20T14:30, or 2h (two hours"
            " ago).",
        )
        return since(until(command))

    return both


def people_options(what: str) -> Callable[[Command], Command]:
    """--user and --project, which a command receives as they are written; `what` is listed."""

    def both(command: Command) -> Command:
        project = click.option(
            "--project", help=f"Only {what} of this project: its name, its id, or a prefix of it."
        )
        user = click.option(
            "--user", help=f"Only {what} of this user: user name, email address, id, or a prefix."
        )
        return user(project(command))

    return both


def store_option() -> Callable[[Command], Command]:
    """--store, the address of a served store to use in place of the database."""
    return click.option(
        "--store",
        metavar="URL",
        help=(
            "Record at a store that qforge serve serves, over HTTPS, with the API key in "
            "QFORGE_STORE_KEY.  [default: QFORGE_STORE_URL, or the database]"
        ),
    )


def jobs_option(what: str = "Worker processes.") -> Callable[[Command], Command]:
    """--jobs, the processors there are unless given."""
    return click.option(
        "--jobs",
        type=click.IntRange(1, 1024),
        default=lambda: len(os.sched_getaffinity(0)),
        help=f"{what}  [default: the number of processors]",
    )


def conditions(table: Table, written: Iterable[str]) -> list[ColumnElement[bool]]:
    """What several --where ask for; all of them must hold."""
    try:
        return [condition_of(table, text) for text in written]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--where") from error


def parse_range(text: str) -> Range:
    """The range that a text such as `1:3`, `:3`, `1:` or `-20:-10` means.

    Raises:
        ValueError: when it is not a range, or has no bound, or its bounds are in the wrong order.
    """
    low, colon, high = text.partition(":")
    try:
        bounds = Range(float(low) if low.strip() else None, float(high) if high.strip() else None)
    except ValueError:
        colon = ""
    if not colon or bounds == Range() or any(bound != bound for bound in (bounds.low, bounds.high)):
        raise ValueError(f"{text!r} is not a range; write 1:3, :3, 1: or -20:-10")
    if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
        raise ValueError(f"{text!r} is empty; write the smaller number first")
    return bounds


def time(text: str) -> datetime:
    """The type of an option that takes a time, as `parse_time` reads it now."""
    try:
        return parse_time(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def place(text: str) -> Place:
    """The type of an option that takes a place in the log, as `Place.parse` reads it."""
    try:
        return Place.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def molecular_formula(text: str) -> str:
    """The type of an option that takes a molecular formula, in any order of its elements."""
    found = hill(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a molecular formula; write C8H10N4O2 or H4N+")
    return found


def number_range(text: str) -> Range:
    """The type of an option that takes a range, as `parse_range` reads it."""
    try:
        return parse_range(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
