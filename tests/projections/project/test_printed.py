"""The printed SQL of a projection: what it runs, laid out and explained."""

import re

import pytest
from sqlalchemy import Engine

from quantum_forge.projections.project import printed
from quantum_forge.projections.project.prepared import statements_of
from quantum_forge.projections.project.printed import readable, tokens
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.projection import Projection
from tests.conftest import Qforge

NAMED = pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=list(PROJECTIONS))


def uncommented(text: str) -> str:
    """Return the lines that are no comments."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("-- "))


@NAMED
def test_what_is_printed_is_what_is_run(projection: Projection) -> None:
    """Word for word: only blanks, line ends and comments differ."""
    run = "".join(f"{statement};" for statement in statements_of(projection).values())

    assert "".join(run.split()) == "".join(uncommented(printed.printed(projection)).split())


@NAMED
def test_every_stage_has_its_name_and_its_comment(projection: Projection) -> None:
    """Each common table expression stands below a line that says what it is."""
    lines = printed.printed(projection).splitlines()
    stages = [number for number, line in enumerate(lines) if re.fullmatch(r"\w+ AS \(", line)]

    for number in stages:
        name = lines[number].split()[0]
        assert lines[number - 1].startswith(f"-- {name}: ")
    least = 2 if projection.replaces else 0 if projection.is_of_single_events else 4
    assert len(stages) >= least


@NAMED
def test_no_stage_has_a_column_that_no_other_reads(projection: Projection) -> None:
    """A column of a stage is read by a later one, or sorts what a later one merges."""
    for statement in statements_of(projection).values():
        stages = re.findall(r"(?:WITH|,) ?\n?\s*(\w+) AS \n?\s*\((?=SELECT)", statement)
        for stage in stages:
            body = statement.split(f"{stage} AS \n(", 1)[1].split("\nFROM", 1)[0]
            for column in re.findall(r" AS (\w+)(?=,|\s*$)", body):
                assert f"{stage}.{column}" in statement.replace(body, ""), (stage, column)


def test_the_printed_sql_runs_as_it_is(engine: Engine) -> None:
    """Psql takes it: with positions for $1 and $2."""
    with engine.connect() as connection:
        for projection in PROJECTIONS.values():
            text = printed.printed(projection).replace("$1", "0").replace("$2", "9")
            connection.exec_driver_sql(text.replace("%", "%%"))


def test_texts_in_the_statement_stay_as_they_are() -> None:
    """Blanks, commas, parentheses and words of SQL in a text are no layout."""
    statement = "SELECT 'a,  FROM (b''s) SELECT' AS one, \"odd, name\" FROM t WHERE x = E'\\\\'"

    assert "'a,  FROM (b''s) SELECT' AS one," in readable(statement)
    assert tokens(readable(statement)) != []
    assert "".join(readable(statement).split()) == "".join(statement.split())


def test_the_command_prints_it_and_needs_no_database(qforge_here: Qforge) -> None:
    """Of the named projections, in the order in which they are named."""
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    text = qforge_here("project", "--sql", "molecules", "spools", env=nowhere).stdout

    assert text.startswith("-- molecules: folds the events above position $1")
    assert text.index("INSERT INTO molecules") < text.index("INSERT INTO spools")
    assert "per_key AS (" in text
