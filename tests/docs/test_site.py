"""The site: its pages name tests that exist, and its references cover what there is."""

import re
from functools import cache
from pathlib import Path

import pytest

import quantum_forge
from docs.generate.commands import commands_page
from docs.generate.errors import errors_page, messages_of
from docs.generate.python_api import python_pages
from docs.generate.settings import settings_page
from quantum_forge.eventstore.base.errors import (
    DatabaseRefused,
    NeedsPrimary,
    NotMigrated,
    QuantumForgeError,
)
from tests.cli.test_tree import TREE

ROOT = Path(__file__).parents[2]
ROOMS = (
    "cli",
    "web",
    "datasets",
    "runner",
    "notifications",
    "projections",
    "eventstore",
    "schema",
    "quantum_forge",
)
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@cache
def named_tests() -> frozenset[str]:
    """The names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    """Whoever doubts a sentence finds its proof."""
    named = set(re.findall(r"`?(tests/[\w/]+\.py)(?:::(test_\w+))?", page.read_text("utf-8")))

    for file, test in named:
        assert (ROOT / file).exists(), f"{page} names {file}"
        assert f"def {test}" in (ROOT / file).read_text("utf-8"), f"{page} names {file}::{test}"
    for test in re.findall(r"`(test_\w+)`", page.read_text("utf-8")):
        assert test in named_tests(), f"{page} names {test}"


def test_every_command_and_option_is_in_the_reference() -> None:
    """Nobody has to call --help to know what there is."""
    page = commands_page()

    for name, command in TREE.items():
        assert re.search(rf"^#+ {name}$", page, re.MULTILINE), name
        for option in command.params:
            if option.param_type_name == "option":
                assert f"`{option.opts[0]}" in page or f", {option.opts[0]}" in page, option.opts


def test_every_error_is_in_the_reference_with_what_to_do() -> None:
    """The message of an error is found there as a user sees it."""
    page = errors_page()

    waiting = [QuantumForgeError]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            waiting.append(cls)
            if cls.__module__.startswith("quantum_forge."):
                assert f"### {cls.__name__}\n" in page
    assert messages_of(NotMigrated) == [str(NotMigrated())]
    assert messages_of(NeedsPrimary) == [str(NeedsPrimary("‹what›"))]
    assert any("correct the password in" in message for message in messages_of(DatabaseRefused))


def test_every_variable_that_the_code_reads_is_among_the_settings() -> None:
    """What can be set can be looked up, and what can be looked up can be set."""
    sources = "".join(
        path.read_text("utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py")
    )
    name = r'"(QFORGE_[A-Z_]+|DATABASE_URL|POSTGRES_[A-Z]+|DB_[A-Z]+)"'
    declared = re.findall(r"^(\w+)=", settings_page(), re.MULTILINE)

    assert set(re.findall(name, sources)) == set(declared)


def test_every_room_that_programs_use_has_a_page_of_its_modules() -> None:
    """A module is found by the room that it is in."""
    pages = {title: content for _, title, content in python_pages()}

    for name in quantum_forge.__all__:
        assert f".{name}\n" in pages["quantum_forge"]
    assert "::: quantum_forge.eventstore.log.append\n" in pages["eventstore.log"]


def test_every_page_that_the_code_names_is_there() -> None:
    """A docstring or a message that points to a page points to one that exists."""
    for room in (*ROOMS, "tests", "examples", "benchmarks"):
        for path in (ROOT / room).rglob("*.py"):
            for named in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text("utf-8")):
                assert (ROOT / named).exists(), f"{path} names {named}"
