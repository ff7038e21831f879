"""The database knows to which entities the event types of this program happen."""

import json
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.schema.domains import EVENT_TYPES
from tests.support.appending import TENANT


def as_json(*types: tuple[str, str]) -> str:
    """Events of these entity types and event types, as append_events takes them."""
    return json.dumps(
        [
            {
                "event_id": str(uuid4()),
                "tenant_id": str(TENANT),
                "entity_type": entity_type,
                "entity_id": str(uuid4()),
                "event_type": event_type,
                "data": {"name": "n"},
            }
            for entity_type, event_type in types
        ]
    )


def test_the_list_of_the_database_is_the_declarations(connection: Connection) -> None:
    """Where this fails: change schema/sql/entity_type_of.sql, and write a migration."""
    names = [cls.event_type for cls in EVENT_TYPES]
    query = text("SELECT name, entity_type_of(name) FROM unnest(CAST(:names AS text[])) AS name")
    found = {row[0]: row[1] for row in connection.execute(query, {"names": names})}
    assert found == {cls.event_type: cls.entity_type for cls in EVENT_TYPES}


def test_an_event_type_under_another_entity_type_is_refused(connection: Connection) -> None:
    """Alone or among others, to whoever may append; types of own domains are unknown to it."""
    append = text("SELECT * FROM append_events(CAST(:events AS jsonb))")
    right, wrong = ("project", "project_created"), ("molecule", "user_role_changed")
    for events in (as_json(wrong), as_json(right, wrong)):
        said = '"user_role_changed" happens to an entity of type "user", not of type "molecule"'
        with pytest.raises(DBAPIError, match=said), connection.begin_nested():
            connection.execute(append, {"events": events})
    own = ("instrument", "instrument_calibrated")
    for events in (as_json(own), as_json(own, right)):
        assert connection.execute(append, {"events": events}).all()
