"""Queries of read models: conditions, order, limit, and what the rows become."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

import quantum_forge as qf
from quantum_forge.schema.language.table import is_secret
from tests.support.molecules import WEIGHTS, created


@pytest.fixture
def molecules(forge: qf.Forge) -> qf.Query:
    """Return a query of four molecules, of which one has a name."""
    for smiles in WEIGHTS:
        forge.record(created(smiles, **({"name": "water"} if smiles == "O" else {})))
    forge.catch_up("molecules")
    return forge.table("molecules")


def found(query: qf.Query) -> list[str]:
    return [row.smiles for row in query]


def test_where_takes_values_ranges_lists_and_null(molecules: qf.Query) -> None:
    """Ranges include their ends."""
    molecules = molecules.order("molecular_weight")
    assert found(molecules.where(smiles="C")) == ["C"]
    assert found(molecules.where(molecular_weight=(16.043, 30.07))) == ["C", "O", "CC"]
    assert found(molecules.where(molecular_weight=(None, 18.015))) == ["C", "O"]
    assert found(molecules.where(molecular_weight=(30.07, None))) == ["CC", "CCC"]
    assert found(molecules.where(smiles=["C", "CCC", "N"])) == ["C", "CCC"]
    assert found(molecules.where(name=None)) == ["C", "CC", "CCC"]
    assert found(molecules.where(name=["water", None])) == ["C", "O", "CC", "CCC"]
    assert found(molecules.where(smiles=[])) == []
    many = ["C", *(f"name {number}" for number in range(70_000))]
    assert found(molecules.where(smiles=many)) == ["C"]
    assert found(molecules.where(charge=0, multiplicity=1, name="water")) == ["O"]
    assert found(molecules.where(created_at=(None, datetime(2000, 1, 1, tzinfo=UTC)))) == []


def test_order_and_limit(molecules: qf.Query) -> None:
    """A minus sorts descending; null comes last either way; a new order replaces the old one."""
    assert found(molecules.order("-molecular_weight").limit(2)) == ["CCC", "CC"]
    assert found(molecules.order("name", "smiles")) == ["O", "C", "CC", "CCC"]
    assert found(molecules.order("-name", "-smiles")) == ["O", "CCC", "CC", "C"]
    assert found(molecules.order("smiles").order("-smiles"))[0] == "O"
    assert molecules.limit(3).count() == 3
    assert molecules.limit(0).first() is None


def test_a_query_is_immutable(molecules: qf.Query) -> None:
    """A query that others were made of is as it was."""
    molecules.where(smiles="C").order("smiles").limit(1)
    assert molecules.count() == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": 1}, "no column 'weight'; the columns are tenant_id, id, smiles"),
        ({"charge": "one"}, "charge holds a whole number, not 'one'"),
        ({"charge": True}, "charge holds a whole number"),
        ({"charge": (1, 2, 3)}, "not a range"),
        ({"charge": (None, None)}, "not a range"),
        ({"id": "7d44"}, "id holds an id"),
        ({"smiles": "\0"}, "smiles holds text"),
        ({"smiles": "\ud800"}, "smiles holds text"),
        ({"charge": 2**40}, "no number as large as 1099511627776"),
        ({"charge": [0, -(2**40)]}, "no number as large"),
        ({"molecular_weight": (None, 10**400)}, "no number as large"),
        ({"molecular_weight": float("nan")}, "no number as large"),
        ({"created_at": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001  # the point
        ({"metadata": {}}, "metadata holds JSON"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(
    molecules: qf.Query, values: dict[str, object], message: str
) -> None:
    """Before anything is sent to the database."""
    with pytest.raises(qf.WrongQuery, match=message):
        molecules.where(**values)


def test_order_of_an_unknown_column_and_a_negative_limit_are_refused(molecules: qf.Query) -> None:
    """And a condition on what was limited already, which would mean two things."""
    with pytest.raises(qf.WrongQuery, match="no column 'weight'"):
        molecules.order("-weight")
    for limit in (-1, 2**63, 1.5, True, "3", None):
        with pytest.raises(qf.WrongQuery, match="at least 0"):
            molecules.limit(limit)  # type: ignore[arg-type]  # the point
    with pytest.raises(qf.WrongQuery, match="call limit last"):
        molecules.limit(1).where(smiles="C")


def test_rows_are_frozen_structs_of_the_columns(molecules: qf.Query) -> None:
    """With the types of the columns, so that they encode as JSON."""
    row = molecules.where(smiles="O").first()
    assert row is not None
    assert isinstance(row.id, UUID)
    assert isinstance(row.created_at, datetime)
    with pytest.raises(AttributeError):
        row.smiles = "C"  # type: ignore[attr-defined]  # as it must be
    assert msgspec.json.decode(msgspec.json.encode(row))["name"] == "water"


def test_a_core_select_can_be_refined(forge: qf.Forge, molecules: qf.Query) -> None:
    """The SELECT of a table, and any other, aggregates among them."""
    table = forge.tables["molecules"]
    named = select(table.c.name, func.count().label("number")).group_by(table.c.name)
    assert [row.number for row in forge.query(named).order("-number")] == [3, 1]
    assert forge.query(named).where(number=(2, None)).count() == 1
    heavy = molecules.where(table.c.molecular_weight > 20, smiles="CC")
    assert found(heavy) == ["CC"]
    with forge.connect() as connection:
        assert len(connection.execute(molecules.select()).all()) == 4
    twice = select(table.c.name, table.c.smiles.label("name"))
    with pytest.raises(qf.WrongQuery, match="label"):
        forge.query(twice)


def test_arrow_pandas_and_polars_hold_the_same_rows(molecules: qf.Query) -> None:
    """With typed columns, even where all values are null or there are no rows."""
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    molecules = molecules.order("smiles")
    arrow = molecules.arrow()
    assert arrow.column("smiles").to_pylist() == ["C", "CC", "CCC", "O"]
    assert arrow.column("project_id").null_count == 4
    assert molecules.where(smiles="N").arrow().schema.equals(arrow.schema)
    frame = molecules.pandas()
    assert list(frame["molecular_weight"]) == [16.043, 30.07, 44.097, 18.015]
    assert molecules.polars()["name"].to_list() == [None, None, None, "water"]


def test_every_table_becomes_arrow(forge: qf.Forge) -> None:
    """Whatever the types of its columns; secrets stay out."""
    for name, table in forge.tables.items():
        shown = [column.name for column in table.columns if not is_secret(column)]
        assert forge.table(name).arrow().column_names == shown


def test_a_notebook_shows_rows_with_molecules_drawn(molecules: qf.Query) -> None:
    """Text is escaped; a SMILES has its drawing where RDKit is installed."""
    pytest.importorskip("rdkit")
    shown = molecules.where(smiles="CCC").rows()._repr_html_()
    assert shown.count("<tr>") == 2
    assert "<svg" in shown
    assert "CCC</td>" in shown
    assert molecules.where(smiles="CCC")._repr_html_() == shown
    assert molecules.where(smiles="N").rows()._repr_html_() == "<p>no rows</p>"
    row = molecules.where(smiles="O").first()
    assert row is not None
    assert "water" in row._repr_html_()


def test_a_notebook_shows_hostile_text_as_text(forge: qf.Forge) -> None:
    """And what RDKit cannot read, without a drawing."""
    forge.record(created("C", name="<script>alert(1)</script>"))
    forge.catch_up("molecules")
    shown = forge.table("molecules").rows()._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    broken = forge.query(select(func.concat("C(").label("smiles"))).rows()._repr_html_()
    assert "<svg" not in broken


low_or_high = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(low=low_or_high, high=low_or_high, chosen=st.lists(st.sampled_from([*WEIGHTS, "N"])))
def test_where_agrees_with_python(
    molecules: qf.Query, low: float | None, high: float | None, chosen: list[str]
) -> None:
    """A range and a list select what a comprehension would."""
    if low is None and high is None:
        return
    expected = [
        smiles
        for smiles, weight in sorted(WEIGHTS.items())
        if (low is None or low <= weight) and (high is None or weight <= high)
        if smiles in chosen
    ]
    query = molecules.where(molecular_weight=(low, high), smiles=chosen).order("smiles")
    assert found(query) == expected
    assert query.count() == len(expected)
    assert query.where(id=uuid4()).count() == 0
