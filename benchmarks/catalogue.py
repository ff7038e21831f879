"""The catalogue at scale: seven questions, a calculation's space on the disk, the complete path."""

import os
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Select, event, text

from benchmarks.catalogue_workload import BATCH, BEGAN, USERS, YEAR, events, smiles
from benchmarks.measure import Comparison, compare, say
from benchmarks.server import BenchmarkServer, connected
from benchmarks.workload import TENANT
from quantum_forge.eventstore.log.load import load
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries.audit_trail import Question, answer
from quantum_forge.projections.queries.batches import select_batch_items
from quantum_forge.projections.queries.calculations import (
    CalculationFilter,
    Order,
    select_calculations,
)
from quantum_forge.projections.queries.molecules import select_molecules_by_smiles
from quantum_forge.projections.queries.rows import Range
from quantum_forge.projections.rebuild import rebuild_all
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import batch_id

LIMIT_MS = 10.0
"""What each question may take at full size, in ms."""

PAGE = 100
"""Rows of a page: of a range, a trail, a month."""

PROJECTORS = os.cpu_count() or 1
"""Projectors that share the complete path, as processes would."""

PEERS_RATE = (306 + 336) / 2
"""Finished calculations a second that the reference system of this field stores, by its authors."""


class Extent(msgspec.Struct, frozen=True):
    """How much there is: molecules, each with two calculations; how many take the complete path.

    asked: how often each question is asked in a round, and once more at the database.
    """

    molecules: int
    complete: int
    asked: int
    rounds: int


FULL = Extent(molecules=1_000_000, complete=20_000, asked=100, rounds=3)
QUICK = Extent(molecules=100_000, complete=5_000, asked=30, rounds=3)

Ask = Callable[[Connection, random.Random], object]


@dataclass(frozen=True)
class Pair:
    """A question as the library asks it, and by SQL written by hand; both fetch every row.

    index: that serves it, or several, without the table's name, which in the log is a partition's.
    """

    key: str
    index: str
    ours: Ask
    reference: Ask


def measure(server: BenchmarkServer, extent: Extent) -> tuple[list[Comparison], dict[str, Any]]:
    """Fill a database and ask it."""
    with server.database() as url, connected(url) as engine:
        figures = {"catalogue_filled": _fill(engine, extent)}
        figures["bytes_per_calculation"] = _bytes_per_calculation(engine, extent)
        comparisons, figures["ms_at_the_database"] = _ask_all(engine, extent)
        figures["complete_path"] = _complete_path(engine, extent)
    return comparisons, figures


def _fill(engine: Engine, extent: Extent) -> dict[str, float]:
    began = time.perf_counter()
    loaded = load(engine, events(extent.molecules)).appended
    loading = time.perf_counter() - began
    say(f"{loaded:,} events loaded in {loading:.0f} s")
    began = time.perf_counter()
    rebuild_all(engine, PROJECTIONS.values())
    projecting = time.perf_counter() - began
    say(f"{len(PROJECTIONS)} tables filled in {projecting:.0f} s")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return {
        "events": loaded,
        "load_seconds": round(loading, 1),
        "project_seconds": round(projecting, 1),
    }


def _ask_all(engine: Engine, extent: Extent) -> tuple[list[Comparison], dict[str, float]]:
    comparisons, at_the_database = [], {}
    for pair in questions(extent.molecules):

        def side(ask: Ask) -> Callable[[], float]:
            return lambda: 1000 / _milliseconds(engine, ask, extent.asked)

        comparisons.append(
            compare(
                pair.key,
                unit="questions/s",
                target=None,
                ours=side(pair.ours),
                reference=side(pair.reference),
                rounds=extent.rounds,
            )
        )
        for ask, whose in ((pair.ours, ""), (pair.reference, "_by_hand")):
            taken = [cost for _, cost in plans_of(engine, ask, extent.asked)]
            at_the_database[pair.key + whose] = round(statistics.median(taken), 2)
        if at_the_database[pair.key] >= LIMIT_MS:
            say(f"{pair.key} takes {at_the_database[pair.key]} ms, {LIMIT_MS:g} or more")
    return comparisons, at_the_database


def plans_of(engine: Engine, ask: Ask, times: int) -> list[tuple[list[dict[str, Any]], float]]:
    """How PostgreSQL runs all statements of a question, and how long it plans and runs them, in ms.

    Each time something else is asked for; the statements are caught on their way, and explained.
    """
    chance = random.Random(times)
    found = []
    with engine.connect() as connection:
        for _ in range(times):
            caught: list[tuple[str, Any]] = []

            def catch(*given: Any, into: list[tuple[str, Any]] = caught) -> None:
                into.append((given[2], given[3]))

            event.listen(connection, "before_cursor_execute", catch)
            ask(connection, chance)
            event.remove(connection, "before_cursor_execute", catch)
            explained = [_explained(connection, sql, values) for sql, values in caught]
            connection.rollback()
            plans = [each["Plan"] for each in explained]
            cost = sum(each["Planning Time"] + each["Execution Time"] for each in explained)
            found.append((plans, cost))
    return found


def _explained(connection: Connection, statement: str, values: Any) -> dict[str, Any]:
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    (explained,) = connection.exec_driver_sql(explain, values).scalar_one()
    plan: dict[str, Any] = explained
    return plan


def _milliseconds(engine: Engine, ask: Ask, times: int) -> float:
    """The median; each time something else is asked for."""
    chance = random.Random(times)
    taken = []
    with engine.connect() as connection:
        for _ in range(times):
            began = time.perf_counter()
            ask(connection, chance)
            taken.append(time.perf_counter() - began)
            connection.rollback()
    return 1000 * statistics.median(taken)


def questions(molecules: int, *, batch_size: int = BATCH) -> list[Pair]:
    """The seven of the catalogue, about a database of so many molecules."""

    def some(chance: random.Random) -> int:
        return chance.randrange(molecules)

    def batch(chance: random.Random) -> UUID:
        return batch_id(TENANT, f"batch {some(chance) // batch_size * batch_size}")

    def gaps(chance: random.Random) -> Range:
        low = chance.uniform(1, 8.9)
        return Range(low, low + 0.05)

    def energies(chance: random.Random) -> Range:
        low = chance.uniform(-100, -11)
        return Range(low, low + 0.5)

    def last_month(chance: random.Random) -> tuple[UUID, datetime]:
        return chance.choice(USERS), BEGAN + YEAR * 11 / 12

    def entity(connection: Connection, chance: random.Random) -> UUID:
        found = select_molecules_by_smiles(TENANT, smiles(some(chance)))
        its_id: UUID = connection.execute(found).one().id
        return its_id

    return [
        Pair(
            "molecule_by_smiles",
            "smiles_idx",
            lambda c, r: _all(c, select_molecules_by_smiles(TENANT, smiles(some(r)))),
            lambda c, r: _sql(c, BY_SMILES, smiles=smiles(some(r))),
        ),
        Pair(
            "gap_range",
            "gap_idx",
            lambda c, r: _all(
                c,
                select_calculations(
                    TENANT, CalculationFilter(gap=gaps(r)), order=Order.GAP, limit=PAGE
                ),
            ),
            lambda c, r: _range(c, GAP_RANGE, gaps(r)),
        ),
        Pair(
            "energy_range",
            "energy_idx",
            lambda c, r: _all(
                c,
                select_calculations(
                    TENANT, CalculationFilter(energy=energies(r)), order=Order.ENERGY, limit=PAGE
                ),
            ),
            lambda c, r: _range(c, ENERGY_RANGE, energies(r)),
        ),
        Pair(
            "audit_trail",
            "entity_id_version_idx",
            lambda c, r: list(answer(c, Question(tenant_id=TENANT, entity_id=entity(c, r)))),
            lambda c, r: _sql(c, TRAIL, entity_id=entity(c, r)),
        ),
        Pair(
            "users_last_month",
            "user_id_id_idx",
            lambda c, r: _month(c, *last_month(r)),
            lambda c, r: _month_by_hand(c, *last_month(r)),
        ),
        Pair(
            "top_1000_by_gap",
            "completed_gap_idx",
            lambda c, _: _all(
                c,
                select_calculations(
                    TENANT,
                    CalculationFilter(statuses=["completed"]),
                    order=Order.GAP,
                    descending=True,
                    limit=1000,
                ),
            ),
            lambda c, _: _sql(c, TOP_1000),
        ),
        Pair(
            "items_of_a_batch",
            "pkey|status_idx",
            lambda c, r: _all(c, select_batch_items(TENANT, batch(r))),
            lambda c, r: _sql(c, ITEMS, batch_id=batch(r)),
        ),
    ]


BY_SMILES = text("SELECT * FROM molecules WHERE tenant_id = :tenant_id AND smiles = :smiles")
GAP_RANGE = text("""
    SELECT c.*, m.smiles, m.name FROM calculations AS c
      LEFT JOIN molecules AS m ON m.tenant_id = c.tenant_id AND m.id = c.molecule_id
     WHERE c.tenant_id = :tenant_id AND c.gap BETWEEN :low AND :high
     ORDER BY c.gap, c.id LIMIT 100
""")
ENERGY_RANGE = text("""
    SELECT c.*, m.smiles, m.name FROM calculations AS c
      LEFT JOIN molecules AS m ON m.tenant_id = c.tenant_id AND m.id = c.molecule_id
     WHERE c.tenant_id = :tenant_id AND c.energy BETWEEN :low AND :high
     ORDER BY c.energy, c.id LIMIT 100
""")
TRAIL = text("""
    SELECT * FROM event_logs WHERE tenant_id = :tenant_id AND entity_id = :entity_id
     ORDER BY id DESC
""")
MONTH = text("""
    SELECT * FROM event_logs
     WHERE tenant_id = :tenant_id AND user_id = :user_id AND occurred_at >= :since
     ORDER BY id DESC LIMIT 100
""")
TOP_1000 = text("""
    SELECT c.*, m.smiles, m.name FROM calculations AS c
      LEFT JOIN molecules AS m ON m.tenant_id = c.tenant_id AND m.id = c.molecule_id
     WHERE c.tenant_id = :tenant_id AND c.status = 'completed' AND c.gap IS NOT NULL
     ORDER BY c.gap DESC, c.id LIMIT 1000
""")
ITEMS = text("""
    SELECT * FROM batch_items WHERE tenant_id = :tenant_id AND batch_id = :batch_id
     ORDER BY molecule_id
""")


def _all(connection: Connection, query: Select[Any]) -> object:
    return connection.execute(query).all()


def _sql(connection: Connection, statement: Any, **parameters: object) -> object:
    return connection.execute(statement, {"tenant_id": TENANT, **parameters}).all()


def _range(connection: Connection, statement: Any, bounds: Range) -> object:
    return _sql(connection, statement, low=bounds.low, high=bounds.high)


def _month(connection: Connection, user_id: UUID, since: datetime) -> object:
    question = Question(tenant_id=TENANT, user_id=user_id, since=since)
    return list(answer(connection, question, limit=PAGE))


def _month_by_hand(connection: Connection, user_id: UUID, since: datetime) -> object:
    return _sql(connection, MONTH, user_id=user_id, since=since)


def _bytes_per_calculation(engine: Engine, extent: Extent) -> dict[str, float]:
    """Of the log, of the heads, and of every read model, with indexes; all on the disk."""
    query = text("""
        SELECT CASE WHEN relname LIKE 'event_logs%' THEN 'log'
                    WHEN relname = 'event_streams' THEN 'heads' ELSE relname END AS name,
               sum(pg_total_relation_size(oid))::float8 AS bytes
          FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
         GROUP BY 1 ORDER BY 2 DESC
    """)
    calculations = 2 * extent.molecules
    with engine.connect() as connection:
        each = {row.name: round(row.bytes / calculations, 1) for row in connection.execute(query)}
    return {
        "all": round(sum(each.values()), 1),
        **{name: size for name, size in each.items() if size >= 1},
    }


def _complete_path(engine: Engine, extent: Extent) -> dict[str, float]:
    """Molecule, start, end with atoms; durable, and visible in every table that it concerns."""
    catch_up(engine, PROJECTIONS.values())
    wanted = list(events(extent.complete // 2, first=10 * extent.molecules))
    began = time.perf_counter()
    load(engine, wanted)
    with ThreadPoolExecutor(PROJECTORS) as projectors:
        list(projectors.map(lambda _: catch_up(engine, PROJECTIONS.values()), range(PROJECTORS)))
    catch_up(engine, PROJECTIONS.values())
    rate = extent.complete / (time.perf_counter() - began)
    say(f"complete path: {rate:,.0f} calculations/s, {rate / PEERS_RATE:.1f} times the peer's")
    return {"calculations_per_second": round(rate, 1), "times_peer": round(rate / PEERS_RATE, 2)}
