"""Entity tags: a client that has the present rows is told so, and never keeps stale ones."""

from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.chemical_history import completed, created, record
from tests.web.rest.conftest import OURS, THEIRS, Get, Login, get_from, id_of

EMBEDDED = "/molecules?select=smiles,calculations(energy)&order=smiles"
FORMS: list[dict[str, Any]] = [
    {},
    {"accept": "text/csv"},
    {"accept": "application/x-ndjson"},
    {"accept": "application/vnd.pgrst.array+json;nulls=stripped"},
    {"is_head": True},
    {"prefer": ["count=exact"]},
]


def test_rows_that_a_client_has_are_not_read_again(get: Get, reader: Engine) -> None:
    """304 with the tag, without the query; each form has its own tag."""
    tags = [get(EMBEDDED, **form).headers["ETag"] for form in FORMS]
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(reader, "before_cursor_execute", note)
    replies = [
        get(EMBEDDED, if_none_match=f'"x", {tag}', **form)
        for tag, form in zip(tags, FORMS, strict=True)
    ]
    event.remove(reader, "before_cursor_execute", note)

    assert [(each.status, each.body) for each in replies] == [(304, b"")] * len(FORMS)
    assert [each.headers["ETag"] for each in replies] == tags
    assert not any("molecules AS" in statement for statement in statements)
    assert get(EMBEDDED, if_none_match='W/"other"').status == 200
    assert len(set(tags)) == len(tags) - 1  # HEAD has that of GET


def test_a_tag_changes_with_the_rows_of_every_table_that_it_covers(
    get: Get, store: Database
) -> None:
    """An event that changes an embedded table is seen; one that changes none of them is not."""
    first = get(EMBEDDED).headers["ETag"]
    alone = get("/molecules?select=smiles").headers["ETag"]

    record(store.engine, created("Q", tenant_id=THEIRS))
    catch_up(store.engine, [PROJECTIONS["devices"]])
    assert get(EMBEDDED, if_none_match=first).status == 304
    again = completed(id_of("lost 0"), "C", energy=-9.0, tenant_id=OURS)
    record(store.engine, again)
    catch_up(store.engine, [PROJECTIONS["calculations"]])

    assert get("/molecules?select=smiles", if_none_match=alone).status == 304
    changed = get(EMBEDDED, if_none_match=first)
    assert changed.status == 200
    assert {"energy": -9} in changed.json[0]["calculations"]
    catch_up(store.engine, PROJECTIONS.values())
    assert get("/molecules?select=smiles", if_none_match=alone).status == 200


def test_a_tag_of_one_tenant_is_none_of_another(get: Get, store: Database, login: Login) -> None:
    """What a client has of another tenant, or as another role, is not confirmed."""
    tag = get("/projects").headers["ETag"]
    stranger = login("qforge_reader", THEIRS)

    assert get("/projects", if_none_match=tag).status == 304
    assert get("/projects", if_none_match=tag, engine=stranger).status == 200
    assert get_from(store.engine, "/projects", if_none_match=tag).status == 200


def test_an_event_that_is_left_out_is_part_of_the_tag(get: Get, store: Database) -> None:
    """Rows change without an event when one that was refused is folded after all."""
    tag = get("/projects").headers["ETag"]
    with store.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO projection_dead_letters (projection, copy, position, tenant_id,"
                " event_type, reason, parked_at, retries) VALUES ('projects', 'live', 1, :tenant,"
                " 'project_created', 'x', now(), 0)"
            ),
            {"tenant": OURS},
        )
    assert get("/projects", if_none_match=tag).status == 200
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM projection_dead_letters"))
    assert get("/projects", if_none_match=tag).status == 304


@pytest.mark.parametrize("path", ["/system_health", "/database_stats?limit=1"])
def test_what_follows_from_more_than_events_has_no_tag(get: Get, path: str) -> None:
    """A view counts the events of the last minute: nothing says when it changes."""
    assert "ETag" not in get(path).headers


def test_the_past_keeps_its_tag(store: Database) -> None:
    """Events that come later change nothing as of a position."""
    path = "/molecules?select=smiles&as_of="
    tag = get_from(store.engine, f"{path}9").headers["ETag"]
    record(store.engine, created("P", tenant_id=OURS))
    catch_up(store.engine, PROJECTIONS.values())

    assert get_from(store.engine, f"{path}9", if_none_match=tag).status == 304
    assert get_from(store.engine, f"{path}10", if_none_match=tag).status == 200
