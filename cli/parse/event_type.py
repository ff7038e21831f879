"""Event types as they are written on the command line."""

from collections.abc import Callable

import click

from quantum_forge.cli.parse.options import Command
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.schema.domains import EVENTS


def types_option() -> Callable[[Command], Command]:
    """--type, which may be repeated, and which a command receives as `types`."""
    return click.option(
        "--type",
        "types",
        type=event_type,
        metavar="TYPE",
        multiple=True,
        help="Only events of this type; may be repeated.",
    )


def event_type(name: str) -> str:
    """Return the name of an event type; the error for another name suggests similar ones."""
    if name not in EVENTS:
        hint = suggestion(name, EVENTS, otherwise=f"the types are {', '.join(EVENTS)}")
        raise click.BadParameter(f"no event type {name!r}; {hint}")
    return name
