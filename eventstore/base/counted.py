"""A number with its noun: 1 event, 2 events."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number and the noun, in the plural (noun + s unless given) except for 1."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
