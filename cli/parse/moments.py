"""A moment of the log as an argument of a command: a position or a time."""

from datetime import UTC, datetime

import click

from quantum_forge.eventstore.base.moments import parse_moment

MOMENT = "a position, a day or month (its end), 2026-11-20T14:30, or how long ago, as 2h"
"""For the help of whatever takes a moment."""


def moment(text: str) -> int | datetime:
    """The type of what takes a moment, as `parse_moment` reads it now."""
    try:
        return parse_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
