"""`qforge record`: any event by its name, by the rules."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.read import read_all
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.batches import batch_id
from tests.conftest import Qforge


def test_a_project_is_created_renamed_and_not_renamed_after_its_end(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """It prints where each event is; what breaks a rule is one clear line and status 1."""
    (tmp_path / "name.json").write_text('{"name": "Dengue"}')
    user = uuid4()

    created = qforge_here("record", "project_created", "--data", '{"name": "Malaria"}', "--json")
    project = json.loads(created.stdout)["entity_id"]
    named = ("record", "project_updated", "--entity-id", project, "--data", "@name.json")
    renamed = qforge_here(*named, "--user-id", str(user))
    qforge_here("record", "project_deleted", "--entity-id", project)
    broken = qforge_here(*named, status=1)

    assert renamed.stdout.splitlines() == [
        "position\tentity_type\tentity_id\tversion",
        f"2\tproject\t{project}\t2",
    ]
    assert f"project {project} is deleted; project_updated needs it to be active" in broken.stderr
    with engine.connect() as connection:
        events = list(read_all(connection))
    assert [event.event_type for event in events] == [
        "project_created",
        "project_updated",
        "project_deleted",
    ]
    assert events[1].user_id == user
    assert events[1].data["name"] == "Dengue"


def test_what_means_nothing_alone_is_not_recorded_alone(
    qforge_here: Qforge, engine: Engine
) -> None:
    """A deleted project takes what is in it along; an account needs its names, and says so."""
    created = qforge_here("record", "project_created", "--data", '{"name": "a"}', "--json")
    project = json.loads(created.stdout)["entity_id"]
    structure = {"project_id": project, "sequence": "MKT", "structure_method": "RCSB"}
    qforge_here("record", "protein_structure_added", "--data", json.dumps(structure))

    qforge_here("record", "project_deleted", "--entity-id", project)
    refused = qforge_here("record", "user_registered", status=1)

    with engine.connect() as connection:
        *_, deleted, structure_deleted = read_all(connection)
    assert (deleted.event_type, deleted.data["structure_count"]) == ("project_deleted", 1)
    assert structure_deleted.event_type == "protein_structure_deleted"
    assert structure_deleted.data["project_id"] == project
    assert "user_registered: cannot be recorded by itself; use Users.register" in refused.stderr


def test_a_thing_with_a_natural_id_is_found_by_its_fields(qforge_here: Qforge) -> None:
    """A batch by its name and parameters, so that it cannot be begun twice."""
    data = json.dumps({"name": "monday", "parameters": {}, "total_count": 3})

    begun = qforge_here("record", "batch_started", "--data", data, "--json")
    again = qforge_here("record", "batch_started", "--data", data, status=1)

    assert json.loads(begun.stdout)["entity_id"] == str(batch_id(DEFAULT_TENANT_ID, "monday", {}))
    assert "exists already (processing)" in again.stderr or "is processing" in again.stderr


def test_what_does_not_fit_is_named(qforge_here: Qforge, engine: Engine) -> None:
    """The field and the reason; nothing is recorded."""
    anybody = str(UUID(int=1))
    for arguments, status, said in (
        (
            ("project_created", "--data", '{"name": 7}'),
            1,
            "got `int` - at `$.name`",
        ),
        (("project_created", "--data", '{"title": "a"}'), 1, "unknown field `title`"),
        (("project_created", "--data", "{"), 2, "--data is not JSON"),
        (("project_created", "--data", "{name: 1}"), 2, "line 1, column 2; give a JSON object in"),
        (("project_created", "--data", "@missing.json"), 2, "missing.json: No such file"),
        (("project_updated",), 1, "give its id"),
        (("project_updated", "--entity-id", anybody), 1, "does not exist"),
        (("projekt_created",), 2, "did you mean project_created"),
        ((), 2, "give an EVENT"),
    ):
        refused = qforge_here("record", *arguments, status=status)
        assert said in refused.stderr
        assert refused.stdout == ""

    with engine.connect() as connection:
        assert list(read_all(connection)) == []


def test_an_expected_version_is_insisted_on(qforge_here: Qforge) -> None:
    """Who has looked before may say at what."""
    created = qforge_here("record", "project_created", "--data", '{"name": "a"}', "--json")
    project = json.loads(created.stdout)["entity_id"]
    update = ("record", "project_updated", "--entity-id", project, "--data", '{"name": "b"}')

    stale = qforge_here(*update, "--expect", "7", status=1)
    qforge_here(*update, "--expect", "1")

    assert "was expected at version 7 but is at version 1" in stale.stderr


@pytest.mark.parametrize("kind", ["project", "organization"])
def test_what_is_deleted_with_others_is_so_at_the_expected_version_only(
    qforge_here: Qforge, engine: Engine, kind: str
) -> None:
    """An organisation takes its members along, by hand as well."""
    created = qforge_here("record", f"{kind}_created", "--data", '{"name": "a"}', "--json")
    its_id = json.loads(created.stdout)["entity_id"]
    if kind == "organization":
        member = json.dumps({"organization_id": its_id, "user_id": str(uuid4())})
        qforge_here("record", "organization_member_added", "--data", member)
    delete = ("record", f"{kind}_deleted", "--entity-id", its_id)

    stale = qforge_here(*delete, "--expect", "7", status=1)
    qforge_here(*delete, "--expect", "1")

    assert "was expected at version 7 but is at version 1" in stale.stderr
    with engine.connect() as connection:
        types = {event.event_type for event in read_all(connection)}
    assert ("organization_member_removed" in types) == (kind == "organization")


def test_every_event_type_is_listed_with_its_fields(qforge_here: Qforge) -> None:
    """For people as a table, for programs as JSON; one of them in full."""
    listed = qforge_here("record", "--list").stdout.splitlines()
    machine = json.loads(qforge_here("record", "--list", "--json").stdout)
    device = qforge_here("record", "--list", "device_registered").stdout.splitlines()

    assert {line.split("\t")[0] for line in listed[1:]} == set(EVENTS)
    assert "device_registered\tdevice\tplatform_id, name, qubits, [properties]" in listed
    assert [one["event_type"] for one in machine] == sorted(EVENTS)
    assert "qubits\tinteger (≥ 1)\tyes" in device
    assert "properties\tobject\tno" in device
