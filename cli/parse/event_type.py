"""An event type as it is written on the command line."""

import difflib

import click

from quantum_forge.schema.domains import EVENTS


def event_type(name: str) -> str:
    """Return the name of an event type; the error for another name suggests similar ones."""
    if name not in EVENTS:
        near = difflib.get_close_matches(name, EVENTS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(EVENTS)}"
        raise click.BadParameter(f"no event type {name!r}; {hint}")
    return name
