"""What users write passes mypy --strict, with these types."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import assert_type
from uuid import UUID

from sqlalchemy import Engine, Table, func, select

import quantum_forge as qf


def everyday_work() -> None:
    """The README's example, and more of it."""
    with qf.open("postgresql://localhost/chemistry", tenant_id=UUID(int=1)) as forge:
        assert_type(forge, qf.Forge)
        methane = forge.molecule("C", name="methane")
        assert_type(methane, UUID)
        project = forge.record(qf.ProjectCreated(name="Malaria"))
        assert_type(project, qf.Recorded)
        forge.record(qf.MoleculeUpdated(name="marsh gas"), of=methane, expected_version=1)
        with forge.calculation(methane, method="GFN2-xTB", charge=0) as calculation:
            calculation.complete({"energy": -4.17})
        forge.append([forge.new(qf.MoleculeDeleted(), of=methane)])
        assert_type(forge.catch_up(), int)
        with forge.projecting("molecules"):
            forge.wait_for("molecules", project.position, timeout=1.5)
        assert_type(forge.events(entity=project), Iterator[qf.RecordedEvent])
        forge.events(types=[qf.ProjectCreated, "molecule_created"], since="2h", follow=True)
        assert_type(forge.engine, Engine)
        forge.users.register(email="ada@example.org", username="ada", password=qf.Secret("…"))
        manifest = forge.datasets.export("march.parquet", where=["gap>2"], as_of="2026-03-31")
        assert_type(manifest, qf.Manifest)


def queries(forge: qf.Forge) -> None:
    """A query stays a query until it is read."""
    assert_type(forge.tables, Mapping[str, Table])
    query = forge.table("calculations").where(gap=(1, 3), status=["completed"]).order("-energy")
    assert_type(query.limit(10), qf.Query)
    assert_type(query.rows(), qf.Rows)
    assert_type(query.first(), qf.Row | None)
    assert_type(query.count(), int)
    assert_type(forge.as_of("calculations", 4711), qf.Query)
    gaps: list[float] = [row.gap for row in query]
    gaps.sort()
    molecules = forge.tables["molecules"]
    counted = select(func.count()).select_from(molecules)
    assert_type(forge.query(counted), qf.Query)
    query.where(molecules.c.charge > 0, name=None).pandas()


def errors(forge: qf.Forge) -> str:
    """Each is caught by its class, or all by the base class."""
    try:
        forge.record(qf.MoleculeDeleted(), of=UUID(int=1))
    except qf.RuleBroken as broken:
        return broken.state
    except (qf.EventRefused, qf.VersionConflict, qf.DatabaseUnavailable):
        return "refused"
    except qf.QuantumForgeError as error:
        return str(error)
    return "recorded"


async def asynchronous_work() -> None:
    """The same arguments; the answers are awaited."""
    async with qf.open_async(home=None) as forge:
        assert_type(forge, qf.AsyncForge)
        assert_type(await forge.molecule("C"), UUID)
        recorded = await forge.record(qf.ProjectCreated(name="Malaria"))
        assert_type(recorded, qf.Recorded)
        assert_type(forge.events(limit=3), AsyncIterator[qf.RecordedEvent])
        query = forge.table("molecules").where(charge=0).limit(3)
        assert_type(query, qf.AsyncQuery)
        assert_type(await query.rows(), qf.Rows)
        assert_type(await forge.as_of("molecules", "2h"), qf.AsyncQuery)
        async with forge.calculation(recorded, method="GFN2-xTB") as calculation:
            assert_type(calculation, qf.AsyncCalculation)
            await calculation.fail("no convergence", user_action_required=True)
        assert_type(await forge.catch_up("molecules"), int)
        ada = await forge.users.register(email="ada@example.org", username="ada")
        assert_type(ada, UUID)
        await forge.users.log_out(ada)
        assert_type((await forge.keys.issue(ada, name="notebook")).key, qf.Secret)
