"""The words that a column may hold are written once: in an enum, or as states of a lifecycle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint, select

from quantum_forge.projections.queries.conditions import condition_of
from quantum_forge.schema.domains import METADATA

SCHEMA = Path(__file__).parents[2] / "schema"
_LIST = re.compile(r"^\w+ IN \(('.*)\)$")


def calls(name: str) -> Iterator[ast.Call]:
    """The calls of a function of the language, in all declarations."""
    for folder in ("domains", "tables"):
        for file in sorted((SCHEMA / folder).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                    yield node


def allowed() -> dict[str, set[str]]:
    """Every list of words in a CHECK, by its table and name."""
    return {
        f"{table.name}.{each.name}": set(re.findall(r"'([^']*)'", match[1]))
        for table in METADATA.tables.values()
        for each in table.constraints
        if isinstance(each, CheckConstraint) and (match := _LIST.match(str(each.sqltext)))
    }


def strings(node: ast.AST) -> Iterator[str]:
    """The strings that are written out below a node."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def test_no_check_lists_words_itself() -> None:
    """It takes them from an enum or a lifecycle, which then cannot allow others than it does."""
    written = [
        text for call in calls("check") for text in strings(call) if re.search(r"\bIN\b", text)
    ]
    typed = [
        ast.unparse(call)
        for call in calls("one_of")
        if isinstance(call.args[2], ast.Tuple | ast.List | ast.Set)
        and not any(isinstance(part, ast.Starred) for part in call.args[2].elts)
    ]

    assert len(list(calls("one_of"))) == len(allowed())
    assert written == []
    assert typed == []


def test_no_comment_of_a_column_lists_them_again() -> None:
    """It is made of them by `either`."""
    lists = [words for words in allowed().values() if len(words) > 1]
    assert lists

    again = [
        text
        for call in calls("column")
        for text in strings(call)
        if any(words <= set(re.findall(r"\w+", text)) for words in lists)
    ]

    assert again == []


def test_a_condition_by_another_word_is_refused() -> None:
    """It would hold for no row; of a query, too, whose columns are those of the table."""
    calculations = METADATA.tables["calculations"]
    for of in (calculations, calculations.alias(), select(calculations).subquery()):
        condition_of(of, "status=failed")
        with pytest.raises(ValueError, match=r"'faild' is never its value; did you mean failed\?"):
            condition_of(of, "status=faild")
    condition_of(calculations, "method=anything")
