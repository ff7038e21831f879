"""Every query for calculations and molecules is served by an index."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, Select, text

from quantum_forge.projections.queries.batches import select_batches
from quantum_forge.projections.queries.calculations import (
    CalculationFilter,
    Order,
    select_atoms,
    select_calculations,
)
from quantum_forge.projections.queries.molecules import select_molecules, select_molecules_by_smiles
from quantum_forge.projections.queries.rows import Range, select_by_prefix
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.molecules import molecules
from tests.support.recording import rolled_back

TENANT = UUID(int=1, version=4)
SINCE = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
NUMBER_SEVEN = UUID("00000007-0000-4000-8000-000000000000")

MOLECULES = text("""
    INSERT INTO molecules (tenant_id, id, smiles, name, formula, charge, multiplicity,
                           molecular_weight, generation_method, toolkit, toolkit_version,
                           completed_calculation_count, retracted_calculation_count,
                           failed_calculation_count, created_at, updated_at, last_position,
                           inchikey, user_id, project_id)
    SELECT tenant, (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'C' || n,
           'name ' || n, 'C' || n % 500 || 'H4', 0, 1, 16, 'imported', 'RDKit', '1', 1, 0, 0,
           timestamptz '2026-01-01' + n * interval '1 s', now(), n,
           lpad(n::text, 14, 'K') || '-UHFFFAOYSA-N', CASE WHEN n % 100 = 0 THEN tenant END,
           CASE WHEN n % 100 = 50 THEN tenant END
      FROM unnest(ARRAY[CAST(:one AS uuid), CAST(:two AS uuid)]) AS tenant,
           generate_series(1, 3000) AS n
""")
CALCULATIONS = text("""
    INSERT INTO calculations (tenant_id, id, molecule_id, batch_id, status, attempt, method, energy,
                              gap, started_at, created_at, updated_at, last_position,
                              user_id)
    SELECT tenant_id, id, id, id, CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END, 1,
           CASE WHEN n % 50 = 0 THEN 'GFN1-xTB' ELSE 'GFN2-xTB' END, -n / 100.0, n / 300.0,
           created_at, created_at, now(), n, user_id
      FROM molecules, LATERAL (SELECT last_position AS n) AS number
""")


PROPERTIES = text("""
    INSERT INTO molecule_properties_computed (
        tenant_id, molecule_id, molecular_weight, logp, hydrogen_bond_donors,
        hydrogen_bond_acceptors, rotatable_bonds, topological_polar_surface_area,
        molar_refractivity, qed, toolkit, toolkit_version, computed_at, created_at, updated_at,
        last_position)
    SELECT tenant_id, id, n, n / 100.0, 0, 0, 0, 0, 0, 0.5, 'RDKit', '1', now(), now(), now(), n
      FROM molecules, LATERAL (SELECT last_position AS n) AS number
""")
BATCHES = text("""
    INSERT INTO batch_jobs (tenant_id, id, name, user_id, status, parameters, total_count,
                            created_at, updated_at, last_position, project_id)
    SELECT tenant_id, id, 'batch ' || last_position % 1000, user_id,
           CASE WHEN last_position % 100 = 0 THEN 'failed' ELSE 'completed' END, '{}', 1,
           created_at, now(), last_position, project_id
      FROM molecules
""")
ITEMS = text("""
    INSERT INTO batch_items (tenant_id, batch_id, calculation_id, molecule_id, name, status,
                             retry_count, created_at, updated_at, last_position)
    SELECT tenant_id, batch_id, id, molecule_id, 'my ' || last_position, status, 0, created_at,
           updated_at, last_position
      FROM calculations
""")
NAMES = text("""
    INSERT INTO batch_item_names (tenant_id, batch_id, calculation_id, name, molecule_id,
                                  created_at, updated_at, last_position)
    SELECT tenant_id, batch_id, calculation_id, name, molecule_id, created_at, updated_at,
           last_position
      FROM batch_items
""")
ATOMS = text("""
    INSERT INTO atomic_properties (tenant_id, calculation_id, atom_index, element, atomic_number,
        partial_charge, position_x, position_y, position_z, force_x, force_y, force_z,
        created_at, updated_at, last_position)
    SELECT tenant_id, id, n, 'C', 6, 0, 0, 0, 0, 0, 0, 0, now(), now(), 1
      FROM molecules, generate_series(0, 4) AS n
""")


@pytest.fixture(scope="module")
def connection(common_engine: Engine) -> Iterator[Connection]:
    """Return a connection that sees 3,000 molecules and calculations of each of two tenants."""
    with common_engine.connect() as connection, rolled_back(connection):
        tenants = {"one": str(TENANT), "two": str(UUID(int=2, version=4))}
        connection.execute(MOLECULES, tenants)
        connection.execute(CALCULATIONS)
        connection.execute(PROPERTIES)
        connection.execute(ATOMS)
        connection.execute(ITEMS)
        connection.execute(NAMES)
        connection.execute(BATCHES)
        connection.execute(text("ANALYZE batch_jobs"))
        connection.execute(text("ANALYZE batch_items, batch_item_names"))
        connection.execute(text("ANALYZE molecules, molecule_properties_computed"))
        connection.execute(text("ANALYZE atomic_properties"))
        connection.execute(text("ANALYZE calculations"))
        yield connection


def plan(connection: Connection, query: Select[Any]) -> str:
    """Return how PostgreSQL would run a query."""
    sql = query.compile(connection, compile_kwargs={"literal_binds": True})
    explained = connection.exec_driver_sql(
        f"EXPLAIN {sql}", execution_options={"no_parameters": True}
    )
    return "\n".join(explained.scalars())


QUERIES = {
    "calculations_started_idx": select_calculations(TENANT, descending=True, limit=50),
    "calculations_gap_idx": select_calculations(
        TENANT, CalculationFilter(gap=Range(1, 1.1)), limit=50
    ),
    "calculations_energy_idx": select_calculations(
        TENANT, CalculationFilter(energy=Range(-20, -19.5)), limit=50
    ),
    "calculations_status_idx": select_calculations(
        TENANT, CalculationFilter(statuses=["failed"]), limit=50
    ),
    "calculations_method_idx": select_calculations(
        TENANT, CalculationFilter(methods=["GFN1-xTB"]), limit=100
    ),
    "calculations_molecule_idx": select_calculations(
        TENANT, CalculationFilter(molecule_ids=[NUMBER_SEVEN])
    ),
    "batch_items_pkey": select_calculations(TENANT, CalculationFilter(batch_ids=[NUMBER_SEVEN])),
    "batch_item_names_name_idx": select_calculations(TENANT, CalculationFilter(name="my 7")),
    "molecules_name_idx": select_molecules(TENANT, name="name 7"),
    "calculations_pkey": select_by_prefix(calculations, TENANT, "00000007"),
    "molecules_pkey": select_by_prefix(molecules, TENANT, "00000007"),
    "molecules_created_idx": select_molecules(TENANT, limit=50),
    "molecule_properties_computed_weight_idx": select_molecules(
        TENANT, weight=Range(100, 130), logp=Range(None, 5), limit=50
    ),
    "molecule_properties_computed_logp_idx": select_molecules(
        TENANT, logp=Range(1.0, 1.2), limit=50
    ),
    "calculations_completed_gap_idx": select_calculations(
        TENANT,
        CalculationFilter(statuses=["completed"], weight=Range(None, 2000), logp=Range(None, 20)),
        order=Order.GAP,
        descending=True,
        limit=10,
    ),
    "calculations_user_idx": select_calculations(
        TENANT, CalculationFilter(user_id=TENANT), descending=True, limit=50
    ),
    "molecules_formula_idx": select_molecules(TENANT, formula="C7H4"),
    "molecules_inchikey_idx": select_molecules(TENANT, inchikey="KKKKKKKKKKKKK7-UHFFFAOYSA-N"),
    "molecules_user_idx": select_molecules(TENANT, user_id=TENANT, limit=50),
    "molecules_project_idx": select_molecules(TENANT, project_id=TENANT, limit=50),
    "batch_jobs_created_idx": select_batches(TENANT, since=SINCE, limit=50),
    "batch_jobs_user_idx": select_batches(TENANT, user_id=TENANT, limit=50),
    "batch_jobs_project_idx": select_batches(TENANT, project_id=TENANT, limit=50),
    "batch_jobs_name_idx": select_batches(TENANT, name="batch 7"),
    "batch_jobs_status_idx": select_batches(TENANT, statuses=["failed"], limit=50),
    "atomic_properties_pkey": select_atoms(TENANT, [NUMBER_SEVEN]),
    "molecules_smiles_idx": select_molecules_by_smiles(TENANT, "C7"),
}
ORDERED = {
    "calculations_gap_idx": Order.GAP,
    "calculations_energy_idx": Order.ENERGY,
    "calculations_started_idx": Order.STARTED,
}


@pytest.mark.parametrize("index", QUERIES)
def test_each_way_of_looking_has_its_index(connection: Connection, index: str) -> None:
    """No table is read from end to end, and some row is found."""
    query = QUERIES[index]

    chosen = plan(connection, query)

    assert index in chosen, chosen
    assert "Seq Scan" not in chosen, chosen
    assert connection.execute(query).first() is not None


@pytest.mark.parametrize(
    "query",
    [
        select_calculations(TENANT, CalculationFilter(formula="C7H4"), limit=50),
        select_calculations(TENANT, CalculationFilter(project_id=TENANT), limit=50),
        select_calculations(TENANT, CalculationFilter(since=SINCE), descending=True, limit=50),
        select_molecules(TENANT, since=SINCE, limit=50),
        select_batches(TENANT, limit=50),
    ],
    ids=["formula", "project", "since", "molecules since", "batches"],
)
def test_a_filter_is_served_by_an_index(connection: Connection, query: Select[Any]) -> None:
    """Of another table, or together with the order."""
    chosen = plan(connection, query)

    assert "Seq Scan" not in chosen, chosen
    assert connection.execute(query).first() is not None


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("index", ORDERED)
def test_the_first_in_an_order_are_not_sorted_from_all(
    connection: Connection, index: str, descending: bool
) -> None:
    """In both directions."""
    query = select_calculations(TENANT, order=ORDERED[index], descending=descending, limit=50)

    chosen = plan(connection, query)

    assert index in chosen, chosen
    assert "Seq Scan" not in chosen, chosen


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_is_bound_to_the_tenant(connection: Connection, query: Select[Any]) -> None:
    """Of two tenants with the same rows, each sees its own."""
    assert {row.tenant_id for row in connection.execute(query)} == {TENANT}


def test_a_range_includes_its_ends(connection: Connection) -> None:
    """An equal bound on both sides finds the equal value."""
    query = select_calculations(TENANT, CalculationFilter(gap=Range(1.0, 1.0)))

    assert [row.gap for row in connection.execute(query)] == [1.0]
