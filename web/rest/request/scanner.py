"""Scanner of one parameter of a query string: names, quotes, and errors with their column."""

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request import limits
from quantum_forge.web.rest.request.query import Field, JsonStep

DEEPEST = 30
"""Levels of parentheses that a parameter may have."""

_LONGEST_INDEX = 9


class Scanner:
    """A text and a place in it.

    Args:
        what: the text is called in messages, such as "filter".
        text: to be read.
        shown: the parameter that the messages quote, where `text` is only part of it.
    """

    def __init__(self, what: str, text: str, shown: str | None = None) -> None:
        self.what = what
        self.text = text
        self.place = 0
        self._shown = text if shown is None else shown

    @property
    def is_at_end(self) -> bool:
        """Whether everything is read."""
        return self.place >= len(self.text)

    def peek(self, expected: str) -> bool:
        """Whether this comes next."""
        return self.text.startswith(expected, self.place)

    def take(self, expected: str) -> bool:
        """Read this if it comes next; return whether it did."""
        found = self.peek(expected)
        if found:
            self.place += len(expected)
        return found

    def require(self, expected: str) -> None:
        """Read this.

        Raises:
            RestError: when something else comes next.
        """
        if not self.take(expected):
            raise self.failure(f'"{expected}"')

    def require_end(self, expected: str = "end of input") -> None:
        """Raise `RestError` unless everything is read."""
        if not self.is_at_end:
            raise self.failure(expected)

    def skip_blanks(self) -> None:
        """Read blanks, if there are any."""
        while not self.is_at_end and self.text[self.place] in " \t\n\r":
            self.place += 1

    def rest(self) -> str:
        """Read everything that is left."""
        return self.advance(len(self.text))

    def until(self, ends: str) -> str:
        """Read up to one of these characters, or to the end."""
        place = self.place
        while place < len(self.text) and self.text[place] not in ends:
            place += 1
        return self.advance(place)

    def word(self) -> str:
        """Read the letters that come next; perhaps none."""
        place = self.place
        while place < len(self.text) and (self.text[place].isalnum() or self.text[place] == "_"):
            place += 1
        return self.advance(place)

    def name(self, expected: str) -> str:
        """Read a name: in quotes, or letters, digits, `_`, `$`, blanks and `-`, but no `->`."""
        if self.peek('"'):
            return self.quoted()
        place = self.place
        while place < len(self.text):
            letter = self.text[place]
            is_dash = letter == "-" and not self.text.startswith("->", place)
            if not (letter.isalnum() or letter in "_ $" or is_dash):
                break
            place += 1
        name = self.text[self.place : place].strip()
        if not name:
            raise self.failure(expected)
        self.place = place
        return name

    def quoted(self) -> str:
        """Read a text in quotes, in which a backslash stands before a quote or a backslash."""
        began = self.place
        self.require('"')
        parts: list[str] = []
        while not self.is_at_end:
            letter = self.text[self.place]
            self.place += 1
            if letter == '"':
                return "".join(parts)
            if letter == "\\" and not self.is_at_end:
                letter = self.text[self.place]
                self.place += 1
            parts.append(letter)
        self.place = began
        raise self.failure('a closing "')

    def quoted_value(self) -> str | None:
        """Read a text in quotes if it is a whole value, before a comma or a parenthesis."""
        began = self.place
        if self.peek('"'):
            try:
                value = self.quoted()
            except RestError:
                value = None
            if value is not None and (self.is_at_end or self.text[self.place] in ",)"):
                return value
        self.place = began
        return None

    def field(self, expected: str = "field name") -> Field:
        """Read the name of a column, and the steps into its JSON."""
        return Field(self.name(expected), self.steps())

    def steps(self) -> tuple[JsonStep, ...]:
        """Read steps into a value of JSON; perhaps none."""
        steps = []
        while self.peek("->"):
            as_text = self.take("->>") or not self.take("->")
            steps.append(JsonStep(self._step(), as_text))
            limits.require(len(steps), limits.JSON_STEPS, "steps into JSON")
        return tuple(steps)

    def _step(self) -> str | int:
        if self.peek('"'):
            return self.quoted()
        place = self.place
        while place < len(self.text) and not (
            self.text[place] in "(:.,>)" or self.text.startswith("->", place)
        ):
            place += 1
        key = self.text[self.place : place]
        if not key:
            raise self.failure("a key or an index of JSON")
        self.place = place
        digits = key.removeprefix("-")
        is_index = digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_INDEX
        return int(key) if is_index else key

    def require_shallow(self, depth: int) -> None:
        """Raise `RestError` for too many levels of parentheses."""
        if depth > DEEPEST:
            raise self.failure(f"at most {DEEPEST} levels of parentheses")

    def advance(self, place: int) -> str:
        """Read up to a place."""
        began, self.place = self.place, place
        return self.text[began:place]

    def failure(self, expected: str) -> RestError:
        """Return the error that something else is expected at this place."""
        met = "end of input" if self.is_at_end else f'"{self.text[self.place]}"'
        column = self.place + 1
        return RestError(
            400,
            "PGRST100",
            f'"failed to parse {self.what} ({self._shown})" (line 1, column {column})',
            details=f"unexpected {met} expecting {expected}",
        )
