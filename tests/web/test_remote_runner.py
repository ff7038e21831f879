"""A runner that needs HTTPS and nothing else: outages, kills, refused keys, certificates."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.drain import drain_by
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.runner.campaign.campaign import Campaign
from quantum_forge.runner.campaign.plan import Plan
from quantum_forge.runner.inputs.files import MoleculeFile
from quantum_forge.runner.workers.liveness import identity
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectUpdated
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.auth import remembered
from quantum_forge.web.client.errors import KeyRefused, RemoteUnreachable, ServerBusy
from quantum_forge.web.client.store import ServedStore
from quantum_forge.web.settings import WebSettings
from tests.conftest import in_process
from tests.support.campaigns import counted, write
from tests.support.certificates import make_certificate
from tests.support.proxy import free_port, proxy_of
from tests.support.remote import recording, served_process
from tests.support.web import TENANT, serving
from tests.web.conftest import Served, account

HYDROGEN = "tests.support.runner_functions:hydrogen"


def ids(engine: Engine, entity_id: UUID) -> list[UUID]:
    """Return the ids of the events of an entity, in order; their versions have no gap."""
    c = event_logs.c
    query = select(c.event_id, c.version).where(c.entity_id == entity_id).order_by(c.version)
    with engine.connect() as connection:
        found = connection.execute(query).all()
    assert [row.version for row in found] == list(range(1, len(found) + 1))
    return [row.event_id for row in found]


def test_no_event_is_lost_or_doubled_when_server_and_runner_are_killed(
    database: Database, tmp_path: Path
) -> None:
    """The server is killed and comes back on the same port, then the runner is killed."""
    bob = account(database.engine, TENANT, "bob", Role.RESEARCHER)
    port, project, spool = free_port(), uuid4(), tmp_path / "spool"
    url = f"http://127.0.0.1:{port}"
    said: list[tuple[str, str]] = []

    def read_until(word: str, more: int) -> None:
        assert runner.stdout is not None
        while more:
            id_, where = runner.stdout.readline().split()
            said.append((id_, where))
            more -= where == word

    with recording(url, bob.key, str(TENANT), str(bob.id), str(spool), str(project)) as runner:
        with served_process(database, tmp_path / "home", port) as server:
            read_until("placed", 20)
            os.killpg(server.pid, signal.SIGKILL)
            read_until("spooled", 5)
        with served_process(database, tmp_path / "home", port):
            read_until("placed", 20)
            runner.kill()
            assert runner.stdout is not None
            rest = [line.split() for line in runner.stdout.read().splitlines()]
            with ServedStore(url, Secret(bob.key)) as store:
                drain_by(spool, lambda wire: store.append_spooled(wire, 10))

    recorded = [UUID(id_) for id_, *_ in (*said, *rest) if len(id_) == 36]
    logged = ids(database.engine, project)
    assert logged[: len(recorded)] == recorded
    assert len(logged) - len(recorded) <= 1  # killed before it could say so
    assert spool_state(spool).events == 0


def test_connections_that_are_cut_cost_no_event(served: Served, tmp_path: Path) -> None:
    """Whether the request or its answer is lost: the same events are sent until they are there."""
    bob = served.accounts["bob"]
    address = httpx.URL(served.url)
    chance = random.Random(7)
    cuts = [chance.randrange(4) for _ in range(25)]
    project = uuid4()
    with proxy_of(URL.create("http", host=address.host, port=address.port), cuts=cuts) as proxy:
        store = ServedStore(f"http://127.0.0.1:{proxy.port}", Secret(bob.key))
        author = Author(tenant_id=bob.tenant_id, user_id=bob.id)
        with Recorder(store, author, spool=tmp_path) as recorder:
            events = []
            for number in range(60):
                named = ProjectUpdated if number else ProjectCreated
                event = recorder.new(
                    project, named(name=f"{project} {number}"), expected_version=number
                )
                recorder.record_all(event)
                events.append(event.event_id)
                delivery = recorder._shared.delivery
                assert delivery is not None
                delivery.next_try = 0.0
            while recorder.spooled:
                try:
                    recorder.settle()
                except Exception:
                    continue
        assert len(proxy.cuts) < 15
    assert ids(served.engine, project) == events


def stubbed(status: int) -> ServedStore:
    """Return a store whose server gives one answer, and breaks the test when it is asked again."""
    busy = httpx.Response(status, headers={"Retry-After": "40"}, json={"message": "not now"})
    answers = [busy]
    store = ServedStore("https://forge.example", Secret("k"))
    store._options["transport"] = httpx.MockTransport(lambda _: answers.pop())
    return store


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_cannot_answer_now_is_left_alone_as_long_as_it_asks(
    tmp_path: Path, status: int
) -> None:
    """What is recorded goes to the spool meanwhile, and no request is sent before the time."""
    with Recorder(stubbed(status), Author(tenant_id=TENANT), spool=tmp_path) as recorder:
        for number in range(3):
            assert recorder.record(ProjectCreated(name=str(number))).placed is None
        assert recorder.spooled == 3
        assert recorder.refused is None
    with pytest.raises(ServerBusy, match="not now") as caught:
        stubbed(status).caller()
    assert caught.value.retry_after == 40


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> Iterator[Served]:
    """Return a server of a database that is this test's own."""
    accounts = {"bob": account(database.engine, TENANT, "bob", Role.RESEARCHER)}
    web = WebSettings(projects=False)
    with serving(database, tmp_path / "server", web) as url:
        yield Served(url, database.engine, accounts)


def test_a_key_that_is_refused_ends_the_run_and_loses_nothing(
    fresh: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in flight ends and is spooled; with another key, it gets into the log."""
    monkeypatch.setattr(remembered, "TRUSTED_FOR", 0.0)
    engine, bob = fresh.engine, fresh.accounts["bob"]
    spool = tmp_path / "spool"
    file = write(tmp_path / "alkanes.smi", ["C" * length for length in range(1, 13)])
    author = Author(tenant_id=TENANT, user_id=bob.id, more=identity())
    with Recorder(engine, Author(tenant_id=TENANT)) as administrator:
        keys = ApiKeys(administrator)
        issued = keys.issue(bob.id, name="runner", scopes=["read", "write"])
        ended = 0

        def revoke_after_three(_: bool) -> None:
            nonlocal ended
            ended += 1
            if ended == 3:
                keys.revoke(issued.id, reason="it leaked")

        def run(key: str, on_input: Any = lambda _: None) -> None:
            store = ServedStore(fresh.url, Secret(key))
            with Recorder(store, author, spool=spool) as recorder:
                Campaign(
                    recorder,
                    Plan(batch="alkanes"),
                    MoleculeFile(file),
                    jobs=2,
                    function=HYDROGEN,
                    on_input=on_input,
                ).run()

        with pytest.raises(KeyRefused, match="QFORGE_STORE_KEY"):
            run(issued.key.reveal(), revoke_after_three)
    assert spool_state(spool).events > 0
    assert counted(engine)["calculation_completed"] == 3

    with ServedStore(fresh.url, Secret(bob.key)) as store:
        drained = drain_by(spool, lambda wire: store.append_spooled(wire, 10))
    assert not drained.rejected
    after = counted(engine)["calculation_completed"]
    assert after == ended
    run(bob.key)
    assert counted(engine)["calculation_completed"] == 12
    assert counted(engine)["calculation_started"] == 12


def test_only_a_certificate_that_somebody_trusts_lets_the_key_go(
    database: Database, tmp_path: Path
) -> None:
    """By default those of the system; a file of one's own authorities can be named."""
    bob = account(database.engine, TENANT, "bob", Role.RESEARCHER)
    tls = make_certificate(tmp_path)
    with serving(database, tmp_path, WebSettings(projects=False), tls=tls) as url:
        assert url.startswith("https://")
        with (
            ServedStore(url, Secret(bob.key)) as store,
            pytest.raises(RemoteUnreachable, match="QFORGE_STORE_CA"),
        ):
            store.caller()
        with ServedStore(url, Secret(bob.key), ca=tls[0]) as store:
            assert store.caller().user_id == bob.id


def test_commands_of_a_machine_without_a_database(
    fresh: Served,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Those that can do without one work; every other one says so, and starts none."""
    qforge = in_process(database, tmp_path, monkeypatch, capfd)
    remote = {
        "DATABASE_URL": "",
        "QFORGE_STORE_URL": fresh.url,
        "QFORGE_STORE_KEY": fresh.accounts["bob"].key,
    }
    write(tmp_path / "few.smi", ["C methane", "nonsense bad"])

    tried = qforge("run", "few.smi", "--dry-run", "--json", env=remote).stdout
    assert msgspec.json.decode(tried)["to_compute"] == 1
    done = qforge("run", "few.smi", "--jobs", "1", "--json", env=remote, status=3).stdout
    assert msgspec.json.decode(done)["completed"] == 1
    recorded = msgspec.json.decode(
        qforge("record", "project_created", "--data", '{"name": "M"}', "--json", env=remote).stdout
    )
    assert len(ids(fresh.engine, UUID(recorded["entity_id"]))) == 1
    catch_up(fresh.engine, PROJECTIONS.values())
    qforge("run", "few.smi", "--jobs", "1", "--project", "M", env=remote, status=3)
    assert counted(fresh.engine)["molecule_added_to_project"] == 1
    assert counted(fresh.engine)["calculation_started"] == 2
    assert "unclosed" not in qforge("retry", "--dry-run", "--json", env=remote).stdout
    found = msgspec.json.decode(qforge("status", "--json", env=remote).stdout)
    assert (found["role"], found["spooled"]) == ("researcher", 0)
    assert found["queue"] == {"completed": 1, "failed": 1}
    assert "spools" in qforge("spool", "status", "--json", env=remote).stdout
    qforge("spool", "drain", env=remote)

    for command in ("molecules list", "db reset --yes", "run few.smi --batch x", "whoami"):
        refused = qforge(
            *command.split(), env={**remote, "QFORGE_STORE_KEY": "qf_unknown"}, status=2
        )
        assert "Error: " in refused.stderr
        assert fresh.url in refused.stderr
    assert not (tmp_path / "home" / "postgres").exists()
    both = qforge("status", env={**remote, "DATABASE_URL": libpq_url(database.url)}, status=2)
    assert "unset one of them" in both.stderr
    wrong = qforge("status", "--store", "https://qf_secret@forge.example", env=remote, status=2)
    assert "QFORGE_STORE_KEY" in wrong.stderr
    assert "qf_secret" not in wrong.stderr
    other = qforge("status", "--store", "https://forge.example", env=remote, status=2)
    assert "belongs to QFORGE_STORE_URL" in other.stderr
