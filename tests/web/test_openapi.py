"""The description of the server: valid, complete, without secrets, and true."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.table import is_secret
from quantum_forge.schema.language.writing import WRITINGS
from quantum_forge.web.app import routes
from quantum_forge.web.rest.statements.tables import readable_names
from tests.support.chemical_history import record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of, good
from tests.web.conftest import Served

CALCULATION = str(calculation_of(MOLECULES[0], METHODS[0]))
IN_PATHS = {
    "table": "calculations",
    "key": CALCULATION,
    "id": CALCULATION,
}
"""What the paths' parameters stand for, here."""


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    """Return the document, as the least of users reads it."""
    record(served.engine, *good())
    wait_until_projected(served.engine)
    with served.client("eve") as eve:
        reply = eve.get("/rest/v1/")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/openapi+json; charset=utf-8"
    found: dict[str, Any] = reply.json()
    return found


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    """By the schema of the OpenAPI Initiative, with references, names and operations checked.

    Of the tables, which are all described by the same code, it checks a few of each kind.
    """
    validator = pytest.importorskip("openapi_spec_validator", reason="is in the extra dev")
    assert document["openapi"] == "3.1.0"
    validator.OpenAPIV31SpecValidator(with_some_tables(document)).validate()


def test_every_reference_leads_somewhere_and_operations_have_names(
    document: dict[str, Any],
) -> None:
    """What generators of clients stumble over first."""
    for reference in references(document):
        assert resolved(document, reference), reference
    names = [each["operationId"] for _, _, each in operations(document)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(document):
        parameters = [parameter(document, each) for each in operation.get("parameters", [])]
        places = [(each["name"], each["in"]) for each in parameters]
        assert len(places) == len(set(places)), (path, method)
        assert {"200", "204"} & operation["responses"].keys()


def test_it_names_every_table_that_can_be_read_and_no_secret(document: dict[str, Any]) -> None:
    """With the type, unit and meaning of each column, and the events by which it is written."""
    plain = {path for path in document["paths"] if path.startswith("/rest/v1/") and "{" not in path}
    tables = {path.removeprefix("/rest/v1/") for path in plain if "/rpc/" not in path} - {""}
    assert tables == set(readable_names())
    schemas = document["components"]["schemas"]
    assert schemas.keys() - {"Error"} == tables
    for name, projection in PROJECTIONS.items():
        shown = {str(each.name) for each in projection.table.columns if not is_secret(each)}
        assert schemas[name]["properties"].keys() == shown
        methods = document["paths"][f"/rest/v1/{name}"].keys() - {"get"}
        writing = WRITINGS.get(name)
        assert methods == {each.lower() for each in (writing.methods if writing else ())}
        for column in projection.table.columns:
            if is_secret(column):
                assert f"{name}.{column.name}" not in document["components"]["parameters"]
    columns = schemas["calculations"]["properties"]
    assert columns["energy"] == {
        "type": ["number", "null"],
        "format": "double",
        "description": "Total energy in Eh",
        "x-unit": "Eh",
        "x-type": "double precision",
    }
    assert (columns["gap"]["x-unit"], columns["dipole"]["x-unit"]) == ("eV", "Debye")
    assert schemas["atomic_properties"]["properties"]["force_x"]["x-unit"] == "Eh/Bohr"
    assert columns["id"]["format"] == "uuid"
    assert "x-unit" not in columns["multiplicity"]


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """A path that is added to the server is missing here until it is described."""
    for route in routes():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route.path.replace(":path", "")))
        assert any(re.fullmatch(pattern, path) for path in document["paths"]), route.path


def test_every_path_answers_as_it_says(served: Served, document: dict[str, Any]) -> None:
    """Each path that reads, bare, and with every parameter that has an example, of an admin."""
    with served.client("ada") as ada:
        for path, method, operation in operations(document):
            if method != "get" or path == "/events":
                continue
            wanted = operation["responses"]
            address = path.format(**IN_PATHS)
            bare = {
                parameter["name"]: parameter["example"]
                for parameter in operation.get("parameters", ())
                if parameter.get("in") == "query" and parameter.get("required")
            }
            if "Range" in str(operation):
                bare["limit"] = "1"
            reply = ada.get(address, params=bare)
            assert reply.status_code == 200, (path, reply.text)
            assert reply.headers["content-type"].partition(";")[0] in wanted["200"]["content"]
            query, headers = example(document, operation)
            reply = ada.get(f"{address}?{urlencode(query)}", headers=headers)
            assert reply.status_code in (200, 206), (path, query, reply.text)
            assert str(reply.status_code) in wanted


def test_it_is_for_whoever_may_read_tables(served: Served) -> None:
    """And sent once: its tag is known to whoever has it."""
    with served.client() as nobody:
        assert nobody.get("/rest/v1/").status_code == 401
    with served.client("zoe") as zoe:
        first = zoe.get("/rest/v1/", headers={"Accept": "application/json"})
        assert first.headers["content-type"] == "application/json; charset=utf-8"
        again = zoe.get("/rest/v1/", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def with_some_tables(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without most of its tables: checking all of them takes 40 s."""
    every = set(readable_names())
    wanted = {"calculations", "projects", "event_logs", "system_health"}

    def kept(named: dict[str, Any], start: str = "") -> dict[str, Any]:
        own = {name: name.removeprefix(start).partition(".")[0] for name in named}
        return {name: part for name, part in named.items() if own[name] not in every - wanted}

    parts = document["components"]
    components = {
        **parts,
        "schemas": kept(parts["schemas"]),
        "parameters": kept(parts["parameters"]),
    }
    paths = kept(document["paths"], "/rest/v1/")
    return {**document, "paths": paths, "components": components}


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of each."""
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def references(value: Any) -> set[str]:
    """Return what is referred to, anywhere within a value."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def resolved(document: dict[str, Any], reference: str) -> dict[str, Any]:
    """Return what a reference means."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def parameter(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter, which may be a reference."""
    return resolved(document, given["$ref"]) if "$ref" in given else given


def example(
    document: dict[str, Any], operation: dict[str, Any]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return query and headers with every example of an operation's parameters."""
    query, headers = [], {}
    for each in operation.get("parameters", []):
        found = parameter(document, each)
        values = found.get("example")
        if values is None or found["in"] == "path":
            continue
        for value in values if isinstance(values, list) else [values]:
            if found["in"] == "query":
                query.append((found["name"], str(value)))
            else:
                headers[found["name"]] = str(value)
    return query, headers
