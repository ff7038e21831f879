"""Numbers in messages: of a noun (1 event, 2 events), and of what a list leaves out."""

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number and the noun, in the plural (noun + s unless given) except for 1."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def shortened(items: Sequence[str], most: int = 5) -> str:
    """Return the first few of many, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
