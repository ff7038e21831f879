"""Ids by their first digits, wherever a command takes one."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.abbreviations import id_digits, id_range
from quantum_forge.eventstore.log.append import append
from quantum_forge.schema.domains.discovery import ProjectCreated
from tests.conftest import Qforge

FIRST = UUID("abcd1111-0000-4000-8000-000000000001")
SECOND = UUID("abcd1222-0000-4000-8000-000000000002")
OTHER = UUID("abcd1111-0000-4000-8000-000000000003")
"""Another tenant's, with the same first digits."""

ADA = UUID("eeee1111-0000-4000-8000-00000000000a")
BOB = UUID("eeee2222-0000-4000-8000-00000000000b")


@pytest.fixture(autouse=True)
def _projects(engine: Engine) -> None:
    for number in range(3):
        # Several events of each: an id is one candidate, however many events it has.
        add(engine, FIRST, ADA, number)
        add(engine, SECOND, BOB, number)
    add(engine, OTHER, ADA, 0, tenant=UUID(int=7))


def add(
    engine: Engine, entity: UUID, user: UUID, number: int, tenant: UUID = DEFAULT_TENANT_ID
) -> None:
    """Append an event of an entity by a user."""
    with engine.begin() as connection:
        append(
            connection,
            [
                NewEvent(
                    tenant_id=tenant,
                    entity_id=entity,
                    user_id=user,
                    event=ProjectCreated(name=f"{entity} {number}"),
                )
            ],
        )


def entities(qforge: Qforge, *options: str) -> set[str]:
    """Return the entities of the events that `events list` finds."""
    lines = qforge("events", "list", "--json", *options).stdout.splitlines()
    return {json.loads(line)["entity_id"] for line in lines}


@pytest.mark.parametrize("digits", ["abcd11", "ABCD-11", "abcd1111-0000", str(FIRST)])
def test_the_first_digits_are_enough(qforge_here: Qforge, digits: str) -> None:
    """In any case, with or without hyphens; the whole id works as ever."""
    assert entities(qforge_here, "--entity", digits) == {str(FIRST)}


def test_a_user_is_found_among_those_who_recorded(qforge_here: Qforge) -> None:
    """By events they recorded, not by events of the same first digits."""
    assert entities(qforge_here, "--user", "eeee1") == {str(FIRST)}
    assert str(BOB) in qforge_here("audit", "--user", "eeee2", "--json").stdout


def test_an_ambiguous_beginning_lists_the_candidates(qforge_here: Qforge) -> None:
    """One line, with the type of each, and none of another tenant's."""
    error = qforge_here("events", "list", "--entity", "abcd", status=2).stderr

    assert error.count("\n") == 1
    assert "begins the id of more than one entity" in error
    assert f"{FIRST} (project), {SECOND} (project); give more digits" in error
    assert str(OTHER) not in error


def test_more_than_ten_candidates_are_not_all_listed(qforge_here: Qforge, engine: Engine) -> None:
    """The line stays readable."""
    for number in range(20):
        add(engine, UUID(f"fade{number:04x}-0000-4000-8000-000000000000"), ADA, number)

    error = qforge_here("events", "list", "--entity", "fade", status=2).stderr

    assert error.count("fade0") == 10
    assert "(project), …; give more digits" in error


@pytest.mark.parametrize(
    "command", ["events list --entity", "events list --user", "audit --entity"]
)
def test_a_beginning_of_nothing_is_one_clear_line(qforge_here: Qforge, command: str) -> None:
    """It says what was looked for."""
    error = qforge_here(*command.split(), "12345", status=2).stderr

    assert error.startswith("Error: no ")
    assert "has an id that begins with '12345'" in error


@pytest.mark.parametrize("text", ["abc", "xyz1", "-abcd", "", "0" * 33])
def test_what_is_no_beginning_of_an_id_is_refused(qforge_here: Qforge, text: str) -> None:
    """Fewer than four digits, other characters, too many."""
    error = qforge_here("events", "list", f"--entity={text}", status=2).stderr

    assert "is not an id; give a UUID, or at least the first 4" in error


def test_an_event_is_recorded_of_an_abbreviated_entity(qforge_here: Qforge) -> None:
    """What happens goes to the entity that is meant, or to none."""
    done = qforge_here(
        *("record", "project_updated", "--entity-id", "abcd12", "--user-id", "eeee1"),
        *("--data", '{"description": "new"}', "--json"),
    )
    assert json.loads(done.stdout)["entity_id"] == str(SECOND)

    before = qforge_here("events", "list", "--json").stdout
    qforge_here("record", "project_updated", "--entity-id", "abcd", status=2)
    assert qforge_here("events", "list", "--json").stdout == before


@given(st.uuids(), st.integers(4, 32))
def test_the_range_of_a_beginning_holds_its_ids_alone(id_: UUID, length: int) -> None:
    """Every id with these digits is in it, and the ids next to it are not."""
    digits = id_digits(id_.hex[:length])
    assert digits is not None
    first, last = id_range(digits)

    assert first <= id_ <= last
    assert first.hex[:length] == last.hex[:length] == digits
    for near in (first.int - 1, last.int + 1):
        if 0 <= near < 2**128:
            assert UUID(int=near).hex[:length] != digits
