"""The forge for asyncio: the same names, awaited."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, text

import quantum_forge as qf
from quantum_forge.asynchronous import AsyncKeys, AsyncUsers
from quantum_forge.door import Door
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.errors import NotMigrated
from quantum_forge.eventstore.database.engine import Database, libpq_url
from tests.support.molecules import created

pytest.importorskip("greenlet")

Run = Callable[[Callable[[qf.AsyncForge], Awaitable[None]]], None]


@pytest.fixture
def run(url: str, tmp_path: Path) -> Run:
    """Return a function that runs a coroutine with an open forge, in an event loop of its own."""

    def run(scenario: Callable[[qf.AsyncForge], Awaitable[None]]) -> None:
        async def main() -> None:
            async with qf.open_async(url, home=tmp_path) as forge:
                await asyncio.wait_for(scenario(forge), 120)

        asyncio.run(main())

    return run


def test_it_has_the_names_and_arguments_of_the_forge() -> None:
    """Nobody has to learn them twice."""
    pairs: list[tuple[type, type]] = [
        (Door, qf.AsyncForge),
        (qf.Forge, qf.AsyncForge),
        (qf.Query, qf.AsyncQuery),
        (Users, AsyncUsers),
        (ApiKeys, AsyncKeys),
    ]
    for plain, awaited in pairs:
        names = {name for name in vars(plain) if not name.startswith("_")}
        assert names <= {*vars(awaited)}
        for name in names:
            ours = inspect.getattr_static(plain, name)
            theirs = inspect.getattr_static(awaited, name)
            theirs = getattr(theirs, "_method", theirs)
            if inspect.isfunction(ours) and name not in ("connect", "close"):
                _, *our_arguments = inspect.signature(ours).parameters
                _, *their_arguments = inspect.signature(theirs).parameters
                assert our_arguments == their_arguments, name


def test_a_molecule_goes_from_event_to_row(run: Run) -> None:
    """Record, append, project, query, travel, verify."""

    async def scenario(forge: qf.AsyncForge) -> None:
        methane = await forge.record(created("C"))
        ethane = forge.new(created("CC"), of=uuid4(), expected_version=0)
        (placed,) = await forge.append([ethane])
        assert placed.position == await forge.position()
        assert (await forge.load([forge.new(created("CCC"), of=uuid4())])).appended == 1
        assert await forge.catch_up("molecules") == 3

        query = forge.table("molecules").where(charge=0).order("-molecular_weight")
        assert [row.smiles async for row in query] == ["CCC", "CC", "C"]
        assert await query.limit(2).count() == 2
        past = await forge.as_of("molecules", methane.position)
        first = await past.first()
        assert first is not None
        assert first.smiles == "C"
        assert (await forge.diff("molecules", methane.position)).added == 2
        assert (await forge.explain("molecules", methane)).row is not None
        assert (await forge.verify("molecules"))[0].agrees
        assert (await forge.rebuild("molecules", dry_run=True))[0].events == 3
        assert (await forge.status(exact=True)).events == {"molecule_created": 3}
        assert [finding.check for finding in await forge.doctor()]
        statement = select(func.count().label("number")).select_from(forge.tables["molecules"])
        assert [row.number for row in await forge.query(statement).rows()] == [3]
        async with forge.connect() as connection:
            assert (await connection.execute(statement)).scalar_one() == 3

    run(scenario)


def test_events_are_read_and_followed(run: Run) -> None:
    """Many in chunks, then new ones as another task records them; both end when they are left."""

    async def scenario(forge: qf.AsyncForge) -> None:
        await forge.append([forge.new(created("C"), of=uuid4()) for _ in range(250)])
        positions = [event.position async for event in forge.events()]
        assert len(positions) == 250
        assert positions == sorted(positions)
        assert [e.event_type async for e in forge.events(types=qf.ProjectCreated)] == []
        with pytest.raises(qf.WrongMoment):
            forge.events(since="yesterday")

        async def follow() -> str:
            async for event in forge.events(follow=True, after=positions[-1]):
                return event.event_type
            return "nothing"

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await forge.record(qf.ProjectCreated(name="Malaria"))
        assert await following == "project_created"

        async def wait() -> None:
            async for event in forge.events(follow=True, after=251):
                raise AssertionError(event)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scenario)


def test_fifty_concurrent_appends_all_arrive(run: Run) -> None:
    """Each at a position of its own, over the connections of one pool."""

    async def scenario(forge: qf.AsyncForge) -> None:
        events = [forge.new(created("C"), of=uuid4(), expected_version=0) for _ in range(50)]
        placed = await asyncio.gather(*(forge.append([event]) for event in events))
        assert len({one.position for (one,) in placed}) == 50
        assert [e.event_id async for e in forge.events()] == [
            one.event_id for (one,) in sorted(placed, key=lambda each: each[0].position)
        ]

    run(scenario)


def test_fifty_concurrent_records_of_one_molecule_record_it_once(run: Run) -> None:
    """The rule holds whoever writes."""

    async def scenario(forge: qf.AsyncForge) -> None:
        answers = await asyncio.gather(
            *(forge.record(created("C")) for _ in range(50)), return_exceptions=True
        )
        recorded = [answer for answer in answers if isinstance(answer, qf.Recorded)]
        assert len(recorded) == 1
        refused = [answer for answer in answers if not isinstance(answer, qf.Recorded)]
        assert {type(answer) for answer in refused} <= {qf.RuleBroken, qf.VersionConflict}
        assert len([event async for event in forge.events()]) == 1

    run(scenario)


def test_an_append_that_is_cancelled_leaves_nothing_behind(run: Run) -> None:
    """It is rolled back, and its connection is good for the next one."""

    async def scenario(forge: qf.AsyncForge) -> None:
        event = forge.new(created("C"), of=uuid4(), expected_version=0)
        async with forge.connect() as connection:
            # Appends wait for whoever has the table.
            await connection.execute(text("LOCK TABLE event_streams IN EXCLUSIVE MODE"))
            waiting = asyncio.create_task(forge.append([event]))
            await asyncio.sleep(0.3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert [each async for each in forge.events()] == []
        (placed,) = await forge.append([event])
        assert placed.appended

    run(scenario)


def test_a_calculation_records_its_end_when_its_task_is_cancelled(run: Run) -> None:
    """As lost; one that raises has failed."""

    async def scenario(forge: qf.AsyncForge) -> None:
        methane = await forge.record(created("C"))
        begun = asyncio.Event()

        async def compute() -> None:
            async with forge.calculation(methane, method="GFN2-xTB"):
                begun.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(compute())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ZeroDivisionError):
            async with forge.calculation(methane, method="GFN2-xTB"):
                1 / 0  # noqa: B018  # fails
        async with forge.calculation(methane, method="GFN2-xTB") as third:
            await third.invalidate("imaginary frequencies")
        await forge.catch_up("calculations")
        rows = await forge.table("calculations").order("created_at").rows()
        assert [row.status for row in rows] == ["lost", "failed", "invalidated"]

    run(scenario)


def test_projecting_keeps_tables_up_to_date(run: Run) -> None:
    """In a thread beside the event loop."""

    async def scenario(forge: qf.AsyncForge) -> None:
        async with forge.projecting("molecules"):
            methane = await forge.record(created("C"))
            await forge.wait_for("molecules", methane.position)
            assert await forge.table("molecules").count() == 1

    run(scenario)


def test_users_keys_and_datasets(run: Run, tmp_path: Path) -> None:
    """Their actions are awaited: those with arguments of their own, and those named by an event."""

    async def scenario(forge: qf.AsyncForge) -> None:
        ada = await forge.users.register(email="ada@example.org", username="ada")
        issued = await forge.keys.issue(ada, name="notebook")
        assert (await forge.keys.use(issued.key)).user_id == ada
        await forge.users.deactivate(ada, reason="on leave")
        assert "deactivated" in [event.event_type.split("_")[-1] async for event in forge.events()]
        await forge.catch_up()
        manifest = await forge.datasets.export(tmp_path / "empty.csv", format="csv")
        assert manifest.rows == 0

    run(scenario)


def test_tenants_and_forges_are_apart(url: str, tmp_path: Path) -> None:
    """Two forges of two tenants in one event loop."""

    async def main() -> None:
        async with (
            qf.open_async(url, home=tmp_path, tenant_id=uuid4()) as mine,
            qf.open_async(url, home=tmp_path, tenant_id=uuid4()) as others,
        ):
            await asyncio.gather(mine.record(created("C")), others.record(created("CC")))
            assert [event.data["smiles"] async for event in mine.events()] == ["C"]
            assert [event.data["smiles"] async for event in others.events()] == ["CC"]

    asyncio.run(main())


def test_a_closed_forge_says_so(url: str, tmp_path: Path, engine: Engine) -> None:
    """Before it is opened and after it is closed; closing twice is harmless, and all is let go."""

    async def main() -> None:
        forge = qf.open_async(url, home=tmp_path)
        with pytest.raises(qf.ForgeClosed):
            await forge.record(created("C"))
        assert await forge.open() is forge
        await forge.record(created("C"))
        query = forge.table("molecules")
        await forge.close()
        await forge.close()
        assert forge.is_closed
        for call in (
            lambda: forge.record(created("C")),
            lambda: forge.append([]),
            query.rows,
            lambda: forge.as_of("molecules", 0),
        ):
            with pytest.raises(qf.ForgeClosed):
                await call()
        with pytest.raises(qf.ForgeClosed):
            forge.events()

    asyncio.run(main())
    with engine.connect() as connection:
        count = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        for _ in range(100):
            sessions = connection.execute(count).scalar_one()
            if sessions == 1:
                break
            connection.execute(text("SELECT pg_sleep(0.05)"))
    assert sessions == 1


def test_what_cannot_be_opened_is_one_clear_error(empty_database: Database, tmp_path: Path) -> None:
    """A database that is away, or without tables."""

    async def attempt(url: str) -> None:
        async with qf.open_async(url, home=tmp_path):
            pass

    with pytest.raises(qf.DatabaseUnavailable, match="start the server"):
        asyncio.run(attempt("postgresql://ada:geheim@127.0.0.1:1/nothing"))
    with pytest.raises(NotMigrated):
        asyncio.run(attempt(libpq_url(empty_database.url)))
