"""Rows as Arrow and Parquet: the same as in JSON, with types, units and bounded memory."""

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.web.rest.conftest import Get, Reply

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"


def table_of(reply: Reply) -> pa.Table:
    """The rows of a reply."""
    assert reply.status == 200, reply.body
    if reply.headers["Content-Type"] == ARROW:
        with pa.ipc.open_stream(reply.body) as reader:
            return reader.read_all()
    return pq.read_table(io.BytesIO(reply.body))


@pytest.mark.parametrize("accept", [ARROW, PARQUET])
def test_rows_come_as_columns_with_types(get: Get, accept: str) -> None:
    """Numbers, times and flags have their types; ids and JSON are text; nulls are nulls."""
    path = (
        "/molecules?select=id,smiles,name,charge,weight:molecular_weight,created_at,metadata,"
        "calculations(energy)&calculations.energy=not.is.null&order=smiles&limit=3"
    )
    rows = get(path).json
    table = table_of(get(path, accept=accept, max_rows=1))

    types = [str(field.type) for field in table.schema]
    assert types == ["string"] * 3 + ["int64", "double", "timestamp[us, tz=UTC]"] + ["string"] * 2
    assert table["id"].to_pylist() == [row["id"] for row in rows]
    assert table["name"].to_pylist() == ["name 0, of C", "name 1, of CC", None]
    assert table["weight"].to_pylist() == [18.015] * 3
    assert table["created_at"][0].as_py() == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert table["calculations"][0].as_py() == '[{"energy" : -5}]'
    metadata = table.schema.field("weight").metadata
    assert metadata[b"description"] == b"Molecular weight in g/mol"


@pytest.mark.parametrize("accept", [ARROW, PARQUET])
def test_aggregates_flags_and_empty_results_keep_their_types(get: Get, accept: str) -> None:
    """A program that reads a reply finds the same columns whatever rows there are."""
    path = "/calculations?select=status,count(),charge.sum(),mean:energy.avg()&order=status"
    groups = table_of(get(path, accept=accept))
    none = table_of(get(f"{path}&status=eq.x", accept=accept))
    users = table_of(get("/users?select=is_active", accept=accept))

    assert groups.to_pylist()[0] == {"status": "completed", "count": 3, "sum": 0, "mean": -6.0}
    assert (none.num_rows, none.schema) == (0, groups.schema)
    assert users.to_pylist() == [{"is_active": True}]
    assert get(path, accept=accept, is_head=True).body == b""
    assert get("/molecules?select=smiles::int", accept=accept).status == 400
