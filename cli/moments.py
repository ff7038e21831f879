"""How a moment of the log is written on the command line: as a position or as a time."""

from datetime import datetime

from cli import options


def moment(text: str) -> int | datetime:
    """The type of an argument that takes a position, or a time as `parse_time` reads it now."""
    try:
        return int(text)
    except ValueError:
        return options.time(text)
