"""`qforge events append`: good lines, bad lines, many lines, again."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.cli.commands.events.append import AT_ONCE
from quantum_forge.eventstore.base.size import LARGEST_EVENT
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import read_all
from tests.conftest import Qforge

ENTITY = str(UUID(int=9, version=4))


def line(number: int = 1, **fields: object) -> str:
    """Return the short form of an event, with other fields if given."""
    given = {
        "event_type": "batch_resumed",
        "entity_id": ENTITY,
        "data": {"total_count": number},
        **fields,
    }
    return json.dumps({name: value for name, value in given.items() if value is not ...}) + "\n"


def numbers(engine: Engine) -> list[int]:
    """Return the numbers of the events in the log, in its order."""
    with engine.connect() as connection:
        return [event.data["total_count"] for event in read_all(connection)]


def test_lines_from_a_pipe_are_appended_in_their_order(qforge: Qforge, engine: Engine) -> None:
    """Short lines take tenant and user from the settings; long ones say everything."""
    tenant, user, event_id = (str(uuid4()) for _ in range(3))
    full = line(
        2,
        entity_type="batch",
        tenant_id=tenant,
        user_id=user,
        event_id=event_id,
        schema_version=1,
        expected_version=0,
        occurred_at="2026-11-20T12:00:00Z",
        metadata={"host": "n1"},
    )

    done = qforge("events", "append", "--file", "-", input=line(1) + "\n" + full)

    assert done.stdout == "outcome\tevents\nappended\t2\nthere already\t0\nbad lines\t0\n"
    with engine.connect() as connection:
        short, long = read_all(connection)
    assert short.tenant_id == DEFAULT_TENANT_ID
    assert short.user_id is not None
    assert (str(long.tenant_id), str(long.user_id), str(long.event_id)) == (tenant, user, event_id)
    assert long.occurred_at.isoformat() == "2026-11-20T12:00:00+00:00"
    assert long.metadata == {"host": "n1"}


def test_appending_a_file_again_appends_only_what_is_missing(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Two equal lines are two events; the same line of the same file is one."""
    file = tmp_path / "events.jsonl"
    file.write_text(line(1) + line(1))
    append = ("events", "append", "--json", "--file", str(file))
    assert json.loads(qforge_here(*append).stdout)["appended"] == 2

    file.write_text(line(1) + line(1) + line(3))
    done = json.loads(qforge_here(*append).stdout)

    assert done == {"appended": 1, "repeated": 2, "invalid": 0, "problems": []}
    assert numbers(engine) == [1, 1, 3]


BAD = {
    "{": "not JSON: expecting property name",
    "[1]": "object",
    line(entity_id="x"): "entity_id",
    line(entity_id=...): "missing required field `entity_id`",
    line(event_type="big_bang"): "unknown event type",
    line(data={"total_count": "x"}): "total_count",
    line(data={}): "total_count",
    line(data={"total_count": 1, "more": 2}): "more",
    line(data=None): "object",
    line(colour="red"): "unknown field `colour`",
    line(entity_type="molecule"): "happens to a batch, not to a molecule",
    line(schema_version=9): "schema version 9",
    line(occurred_at="2026-11-20T12:00:00"): "time zone",
    line(occurred_at="yesterday"): "occurred_at",
    line(metadata=[1]): "metadata",
    line(metadata={"a": "\0"}): "NUL",
}


def test_a_bad_line_is_named_and_nothing_is_appended(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """With its number and reason; the exit status is 1."""
    file = tmp_path / "events.jsonl"
    file.write_text(line(1) + "".join(text.strip() + "\n" for text in BAD))

    done = qforge_here("events", "append", "--file", str(file), status=1)

    said = done.stderr.splitlines()
    for number, (given, reason) in enumerate(BAD.items(), start=2):
        (found,) = (one for one in said if one.startswith(f"line {number}: "))
        assert reason in found, given
    assert "nothing was appended" in said[-1]
    assert numbers(engine) == []


def test_skip_invalid_appends_the_rest_and_lists_the_bad(qforge: Qforge, engine: Engine) -> None:
    """The summary counts both, and the exit status says that some failed."""
    done = qforge(
        *("events", "append", "--file", "-", "--skip-invalid", "--json"),
        input=line(1) + "{\n" + line(3),
        status=3,
    )

    summary = json.loads(done.stdout)
    assert (summary["appended"], summary["invalid"]) == (2, 1)
    assert [problem["line"] for problem in summary["problems"]] == [2]
    assert "line 2: " in done.stderr
    assert numbers(engine) == [1, 3]


def test_what_the_database_refuses_is_one_clear_line(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """A version that is not the expected one leaves out all of a small file."""
    file = tmp_path / "events.jsonl"
    file.write_text(line(1) + line(2, entity_id=str(uuid4()), expected_version=3))

    done = qforge_here("events", "append", "--file", str(file), status=1)

    assert "expected at version 3" in done.stderr
    assert numbers(engine) == []
    assert "No such file" in qforge_here("events", "append", "--file", "no", status=2).stderr


@pytest.mark.parametrize("expected", [..., 0])
def test_a_long_file_is_loaded_and_can_expect_no_version(
    qforge_here: Qforge, engine: Engine, tmp_path: Path, expected: object
) -> None:
    """More than one transaction cannot check what one call promises."""
    file = tmp_path / "events.jsonl"
    with file.open("w") as out:
        for number in range(AT_ONCE + 1):
            out.write(line(number, entity_id=str(UUID(int=number % 99, version=4))))
        out.write(line(0, entity_id=str(uuid4()), expected_version=expected))

    append = ("events", "append", "--json", "--file", str(file))
    done = qforge_here(*append, status=0 if expected is ... else 1)

    if expected is ...:
        assert json.loads(done.stdout)["appended"] == AT_ONCE + 2
        assert json.loads(qforge_here(*append).stdout)["repeated"] == AT_ONCE + 2
    else:
        assert "split the file" in done.stderr
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM event_logs")).scalar_one()
    assert count == (AT_ONCE + 2 if expected is ... else 0)


def test_a_line_with_too_large_an_event_is_named(qforge_here: Qforge, tmp_path: Path) -> None:
    """With its number and its size; nothing of the file is appended."""
    data = {"name": "b", "parameters": {"x": "x" * LARGEST_EVENT}}
    lines = [
        {"event_type": "batch_created", "entity_id": str(uuid4()), "data": each}
        for each in ({"name": "b", "parameters": {}}, data)
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    done = qforge_here("events", "append", "--file", str(file), status=1)

    assert "line 2: batch_created: event " in done.stderr
    assert "the limit is 16,777,216" in done.stderr
    assert "nothing was appended" in done.stderr
