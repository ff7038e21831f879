"""The statements that a projection runs, laid out for people."""

import re
from collections.abc import Iterator

from quantum_forge.projections.project.prepared import statements_of
from quantum_forge.schema.language.projection import Projection

STAGES = {
    "raw": (
        "the events of the range, as read from the log; a row per list element where lists are "
        "expanded"
    ),
    "events": "each event with the key of its row, and the values that columns take from it",
    "ended": "with the position at which the row of its key ended last",
    "alive": "the events after that end",
    "opened": "with the position at which the row of its key was opened",
    "live": "the events that count: of rows that exist or are opened, after their last end",
    "per_key": "the fold of the events of each key: merged facts, counts, first and last values",
    "last": "the last event of each key, which replaces what earlier ones made",
    "elements": "a row for each element of its list, unless the event ends the rows",
    "counted": "the count of each value",
    "tally": "these counts as one document per key",
}
"""What the common table expressions of a fold are; those of several are numbered or prefixed."""

HEADER = "-- {name}: folds the events above position $1, up to and including $2"

LONGEST = 100
"""Columns of a line, unless a literal is longer."""

_TOKEN = re.compile(
    r"""\s*(?: (?P<text> [eE]?'(?:[^']|'')*' ) | (?P<name> "(?:[^"]|"")*" )
      | (?P<word> [\w$.]+ ) | (?P<sign> ::|->>|->|\|\||<=|>=|<>|!=|\#>>|. ) )""",
    re.VERBOSE | re.DOTALL,
)

_CLAUSES = frozenset(
    (
        *("SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION"),
        *("JOIN", "LEFT", "INSERT", "USING", "SET"),
    )
)
_PURPOSES = {
    "DELETE": "rows that an event of the range ends or replaces, or that retention leaves behind",
    "INSERT": "the rows after these events, put in place of those before",
}


def printed(projection: Projection) -> str:
    """The statements that fold a range of events into the table, in order, as they are run."""
    laid_out = [HEADER.format(name=projection.name)]
    laid_out += [f"{readable(statement)};" for statement in statements_of(projection).values()]
    return "\n\n".join(laid_out)


def tokens(sql: str) -> list[tuple[bool, str]]:
    """The words and signs of a statement, and whether a blank stands before each."""
    return [(found[0][:1].isspace(), found[0].lstrip()) for found in _TOKEN.finditer(sql.strip())]


def readable(sql: str) -> str:
    """A statement with a line per clause and column, and a comment before each stage."""
    return "\n".join(_lines(tokens(sql))).strip()


def _lines(words: list[tuple[bool, str]]) -> Iterator[str]:
    queries: list[bool] = []
    """For each open parenthesis: whether a query stands in it."""
    line = ""
    is_said = False
    for number, (blank, word) in enumerate(words):
        before = words[number - 1][1] if number else ""
        after = words[number + 1][1] if number + 1 < len(words) else ""
        depth = sum(queries)
        in_query = not queries or queries[-1]
        comment = None if queries else _stage(words, number)
        if comment is None and not queries and not is_said:
            comment = _PURPOSES.get(word)
            is_said = comment is not None
        margin = None
        if comment is not None:
            margin = ""
        elif in_query and _begins_line(before, word, after):
            margin = "    " * depth
        elif word == ")" and queries and queries[-1]:
            margin = "    " * (depth - 1)
        elif (
            # Long lines are broken where they can be.
            len(line) > LONGEST - 20 and word in ("AND", "OR", "WHEN", "ELSE", "THEN")
        ) or (len(line) + len(word) > LONGEST and before == ","):
            margin = "    " * (depth + 2)
        if margin is not None:
            if line.strip():
                yield line
            line, blank = margin, False
        if comment is not None:
            yield f"-- {comment}"
        line += (" " if blank and line.strip() else "") + word
        if word == "(":
            queries.append(after == "SELECT")
            if queries[-1]:
                yield line
                line = ""
        elif word == ")" and queries:
            queries.pop()
        elif word == "," and in_query:
            yield line
            line = "    " * (depth + 1)
    yield line


def _begins_line(before: str, word: str, after: str) -> bool:
    if word == "ON":
        return after == "CONFLICT"
    is_part = (
        (word == "FROM" and before in ("DELETE", "DISTINCT"))
        or (word == "JOIN" and before == "OUTER")
        or (word == "SET" and before == "UPDATE")
    )
    return word in _CLAUSES and not is_part


def _stage(words: list[tuple[bool, str]], number: int) -> str | None:
    """What the common table expression is whose name stands here; None where none does."""
    if [word for _, word in words[number + 1 : number + 3]] != ["AS", "("]:
        return None
    if words[number - 1][1] not in ("WITH", ",") or number == 0:
        return None
    name = words[number][1]
    for stage, meaning in STAGES.items():
        if re.fullmatch(rf"(.*_)?{stage}(_\d+)?", name):
            return f"{name}: {meaning}"
    raise LookupError(name)
