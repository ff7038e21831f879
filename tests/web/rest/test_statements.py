"""Statements: relations as they are declared, indexes that are used, memory that stays bounded."""

import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, cast, func, select, text
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.exc import ProgrammingError

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.language.words import configuration, searched_columns, words_of
from quantum_forge.schema.tables.views import VIEWS
from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.exchange import ReadRequest
from quantum_forge.web.rest.reading import read
from quantum_forge.web.rest.statements.relations import Cardinality, relations_from
from quantum_forge.web.rest.statements.tables import readable, readable_names
from tests.web.rest.conftest import Get, Login, get_from


def test_every_column_that_names_an_entity_relates_its_table_to_that_of_the_entity() -> None:
    """A new table is embedded, and embeds, by what its declaration says of its columns."""
    related = {
        (each.source, each.target, each.on[0], each.cardinality)
        for name in readable_names()
        for each in relations_from(name)
    }

    assert related >= {
        ("molecules", "calculations", "id", Cardinality.ONE_TO_MANY),
        ("calculations", "molecules", "molecule_id", Cardinality.MANY_TO_ONE),
        ("calculations", "atomic_properties", "id", Cardinality.ONE_TO_MANY),
        ("calculations", "calculation_execution_metrics", "id", Cardinality.ONE_TO_ONE),
        ("molecules", "molecule_properties_computed", "id", Cardinality.ONE_TO_ONE),
        ("molecules", "projects", "project_id", Cardinality.MANY_TO_ONE),
        ("batch_jobs", "batch_items", "id", Cardinality.ONE_TO_MANY),
        ("batch_jobs", "calculations", "id", Cardinality.MANY_TO_MANY),
        ("calculations", "batch_jobs", "id", Cardinality.MANY_TO_MANY),
        ("marketplace_listings", "quantum_apps", "app_id", Cardinality.MANY_TO_ONE),
        ("docking_results", "protein_structures", "protein_id", Cardinality.MANY_TO_ONE),
        ("user_sessions", "molecules", "active_molecule_id", Cardinality.MANY_TO_ONE),
        ("event_logs", "users", "user_id", Cardinality.MANY_TO_ONE),
        ("organizations", "users", "id", Cardinality.MANY_TO_MANY),
    }
    backward = {(target, source) for source, target, *_ in related}
    assert backward == {(source, target) for source, target, *_ in related}
    unrelated = {
        (name, column.name)
        for name, projection in PROJECTIONS.items()
        for column in projection.table.c
        if column.name.endswith("_id") and column.name not in ("tenant_id", "entity_id")
    } - {each.referring for name in readable_names() for each in relations_from(name)}
    assert unrelated == {
        ("errors", "correlated_id"),
        ("notifications", "message_id"),
        ("protein_structures", "pdb_id"),
    }


def test_the_views_have_the_columns_that_requests_may_name(store: Database) -> None:
    """What is declared of a view here is what the database has."""
    query = text(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = :name ORDER BY ordinal_position"
    )
    types = {
        "bigint": "BIGINT",
        "jsonb": "JSONB",
        "text": "TEXT",
        "uuid": "UUID",
        "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    }
    with store.engine.connect() as connection:
        for name, view in VIEWS.items():
            found = [(row[0], types[row[1]]) for row in connection.execute(query, {"name": name})]
            declared = [
                (column.name, column.type.compile(dialect=store.engine.dialect))
                for column in view.columns
            ]
            assert found == declared


def test_every_table_that_can_be_read_is_read(get: Get) -> None:
    """A reader may read each of them in every form, except the log and the view of it."""
    for name in readable_names():
        if name not in ("event_logs", "activity_logs"):
            for accept in ("*/*", "text/csv", "application/x-ndjson"):
                reply = get(f"/{name}?limit=2", accept=accept)
                assert reply.status == 200, (name, reply.body)
    secrets = {
        (name, column.name)
        for name, projection in PROJECTIONS.items()
        for column in projection.table.c
        if column.name not in readable(name).columns
    }
    assert ("users", "hashed_password") in secrets
    assert ("user_api_keys", "key_hash") in secrets


def test_one_object_holds_more_keys_than_a_function_has_arguments(get: Get) -> None:
    """PostgreSQL's functions take 100 arguments; a request may select more."""
    keys = [f"k{place}" for place in range(120)]
    selected = ",".join(f"{key}:smiles" for key in keys)
    (row,) = get(f"/molecules?select={selected}&smiles=eq.CC").json
    assert row == dict.fromkeys(keys, "CC")


@pytest.fixture(scope="module")
def large(store: Database) -> Database:
    """Return the store with many molecules."""
    with store.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO molecules (tenant_id, id, smiles, name, formula, charge, multiplicity,"
                " molecular_weight, generation_method, toolkit, toolkit_version,"
                " completed_calculation_count, retracted_calculation_count,"
                " failed_calculation_count, metadata, created_at, updated_at, last_position)"
                " SELECT CAST('f0000000-0000-4000-8000-00000000000' || mod(n, 8) AS uuid),"
                " gen_random_uuid(), 'N' || n, repeat('x', 500), 'N', 0, 1, 14, 'manual', 'RDKit',"
                " '1', 0, 0, 0, '{}', now() - n * interval '1 s', now(), n"
                " FROM generate_series(1, 40000) AS n"
            )
        )
        connection.execute(text("ANALYZE molecules"))
    return store


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of a plan."""
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]


@pytest.mark.parametrize(
    ("path", "index", "sorts"),
    [
        ("/molecules?order=id&limit=100", "molecules_pkey", False),
        ("/molecules?limit=100&offset=100", "molecules_pkey", False),
        ("/molecules?order=created_at.desc&limit=100", "molecules_created_idx", True),
        ("/molecules?smiles=eq.N7", "molecules_smiles_idx", False),
        ("/molecules?select=smiles,calculations(*)&id=eq.{id}", "calculations_", True),
    ],
)
def test_a_page_is_found_by_an_index(
    large: Database, login: Login, path: str, index: str, sorts: bool
) -> None:
    """A page by key costs its rows, not the table: the key is an index, and no sort is needed."""
    tenant = UUID("f0000000-0000-4000-8000-000000000001")
    reader = login("qforge_reader", tenant)
    with large.engine.connect() as connection:
        molecules = PROJECTIONS["molecules"].table
        id_ = connection.scalar(select(molecules.c.id).where(molecules.c.tenant_id == tenant))
    reply = get_from(
        reader,
        path.format(id=id_),
        plans=True,
        accept="application/vnd.pgrst.plan+json",
    )

    found = nodes(reply.json[0]["Plan"])
    assert any(str(node.get("Index Name", "")).startswith(index) for node in found), found
    assert sorts or not any("Sort" in node["Node Type"] for node in found)


def test_a_search_by_words_reads_the_index_under_row_level_security(
    large: Database, login: Login
) -> None:
    """For a reader of one tenant, who could not use it by itself; other tenants stay hidden."""
    tenant = UUID("f0000000-0000-4000-8000-000000000001")
    reader = login("qforge_reader", tenant)
    asked = "/molecules?select=smiles&name=wfts.nowhere%20-else&limit=5"
    plans = {"plans": True, "accept": "application/vnd.pgrst.plan+json"}

    found = nodes(get_from(reader, asked, **plans).json[0]["Plan"])
    assert "Tid Scan" in {node["Node Type"] for node in found}, found
    assert get_from(reader, "/molecules?select=tenant_id&name=fts.of&limit=5").json == []

    # And the function, for every column that is declared as searched, reads that index
    tables = [table for table in METADATA.sorted_tables if searched_columns(table)]
    assert {table.name for table in tables} >= {"molecules", "projects", "calculation_errors"}
    query = func.plainto_tsquery(configuration(), "nowhere")
    with large.engine.connect() as owner, reader.connect() as connection:
        owner.execute(text("SET enable_seqscan = off"))
        for table in tables:
            for column in searched_columns(table):
                matching = select(table.c.tenant_id).where(
                    words_of(table.c[column]).op("@@", is_comparison=True)(query)
                )
                written = matching.compile(owner, compile_kwargs={"literal_binds": True})
                plan = "\n".join(owner.scalars(text(f"EXPLAIN {written}")))
                assert f"{table.name}_words_idx" in plan, plan
                places = func.rows_with_words(cast(table.name, REGCLASS), column, query)
                assert connection.scalars(select(places)).all() == []
    for wrong in ("smiles", "nothing"):
        with reader.connect() as connection, pytest.raises(ProgrammingError, match="not searched"):
            connection.execute(
                select(func.rows_with_words(cast("molecules", REGCLASS), wrong, query))
            )


MEASURE = """
import resource, sys
from uuid import UUID
from sqlalchemy.engine import make_url
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.web.rest.exchange import ReadRequest
from quantum_forge.web.rest.reading import read

engine = make_engine(make_url(sys.argv[1]))
with engine.connect() as connection:
    def stream(rows):
        pairs = [("limit", str(rows))]
        request = ReadRequest(table="molecules", pairs=pairs, accept="application/x-ndjson")
        return sum(map(len, read(connection, request).body))
    stream(2_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = stream(10**9)
    print(size // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
engine.dispose()
"""


def test_lines_of_any_number_take_bounded_memory(large: Database) -> None:
    """40,000 rows are read as 2,000 are: in chunks, by a cursor of the server."""
    url = large.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, url], capture_output=True, text=True, check=True
    )
    size, grown = map(int, done.stdout.split())
    assert size > 30_000
    assert grown < size / 4


def test_what_the_database_refuses_is_known_before_the_first_line(reader: Engine) -> None:
    """A status cannot be taken back once lines are written."""
    request = ReadRequest(
        table="molecules",
        pairs=[("select", "smiles::int"), ("order", "smiles")],
        accept="application/x-ndjson",
    )
    with reader.connect() as connection, pytest.raises(RestError) as refused:
        read(connection, request)
    assert refused.value.code == "22P02"
