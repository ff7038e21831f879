"""A store reached by HTTPS: a recorder over it keeps the promises of one over a database."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select

import quantum_forge as qf
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import (
    AccessRefused,
    EventIdReused,
    EventRefused,
    NeedsDatabase,
    OtherTenant,
    RuleBroken,
    VersionConflict,
)
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.log_reader import DatabaseReader
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectUpdated
from quantum_forge.schema.tables import event_logs
from quantum_forge.web import wire
from quantum_forge.web.client.errors import KeyRefused
from quantum_forge.web.client.store import ServedStore
from tests.web.conftest import Served


@pytest.fixture
def store(served: Served) -> Iterator[ServedStore]:
    """Return the store as bob, a researcher, reaches it."""
    with ServedStore(served.url, Secret(served.accounts["bob"].key)) as found:
        yield found


def of(store: ServedStore, **more: object) -> Author:
    """Return the author that the key stands for."""
    caller = store.caller()
    return Author(tenant_id=caller.tenant_id, user_id=caller.user_id, more=dict(more))


def logged(engine: Engine, entity_id: UUID) -> list[tuple[str, int, UUID | None]]:
    """Return the events of an entity, with their versions and authors."""
    c = event_logs.c
    query = select(c.event_type, c.version, c.user_id).where(c.entity_id == entity_id)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(c.version))]


def test_what_is_recorded_over_https_is_recorded_by_the_rules(
    served: Served, store: ServedStore
) -> None:
    """With the errors that a database would raise, their facts included, and once for each id."""
    bob = served.accounts["bob"].id
    with Recorder(store, of(store, host="node-7")) as recorder:
        project = recorder.record(ProjectCreated(name="Malaria")).entity_id
        recorder.record(ProjectUpdated(name="Malaria 2"), of=project)
        assert logged(served.engine, project) == [
            ("project_created", 1, bob),
            ("project_updated", 2, bob),
        ]
        with recorder.reading() as log:
            assert log.last_events("project", [project])[project].metadata["host"] == "node-7"

        with pytest.raises(RuleBroken, match="exists already") as broken:
            recorder.record(ProjectCreated(name="Malaria"), of=project)
        assert (broken.value.state, broken.value.allowed) == ("active", ("new",))
        with pytest.raises(VersionConflict) as conflict:
            recorder.record(ProjectUpdated(name="3"), of=project, expected_version=1)
        assert (conflict.value.expected, conflict.value.actual) == (1, 2)

        again = recorder.new(uuid4(), ProjectCreated(name="Dengue"))
        (first,) = recorder.record_all(again) or []
        (second,) = recorder.record_all(again) or []
        assert (first.appended, second.appended) == (True, False)
        assert first.position == second.position
        with pytest.raises(EventIdReused):
            recorder.record_all(
                recorder.new(again.entity_id, ProjectUpdated(name="x")).__class__(
                    tenant_id=again.tenant_id,
                    entity_id=again.entity_id,
                    event=ProjectUpdated(name="other"),
                    event_id=again.event_id,
                )
            )
        with pytest.raises(NeedsDatabase, match="served store"):
            recorder.decide(lambda _: [])


def test_nobody_records_for_others_over_https(served: Served, store: ServedStore) -> None:
    """Neither in another tenant, nor as another user, nor what no rule checks about accounts."""
    ada = served.accounts["ada"]
    author = of(store)
    for wrong, error in [
        (Author(tenant_id=uuid4(), user_id=author.user_id), OtherTenant),
        (Author(tenant_id=author.tenant_id, user_id=ada.id), AccessRefused),
    ]:
        with Recorder(store, wrong) as recorder, pytest.raises(error):
            recorder.record(ProjectCreated(name="theirs"))
    with ServedStore(served.url, Secret(served.accounts["eve"].key)) as viewer:
        with pytest.raises(KeyRefused, match="researcher"):
            viewer.caller()
        with Recorder(viewer, author) as recorder, pytest.raises(AccessRefused):
            recorder.record(ProjectCreated(name="a viewer's"))
    with (
        ServedStore(served.url, Secret(ada.key)) as admins,
        Recorder(admins, author) as recorder,
    ):
        project = recorder.record(ProjectCreated(name="for bob")).entity_id
    assert logged(served.engine, project) == [("project_created", 1, author.user_id)]
    with store.reading() as log, pytest.raises(KeyRefused, match="accounts"):
        log.last_events("user", [ada.id])


def test_threads_share_requests_and_each_gets_its_own_answer(
    store: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appends that wait for one on its way go together; one that is refused stops no other."""
    sent: list[int] = []
    post = store._post

    def counting(path: str, body: bytes, seconds: float | None) -> bytes:
        if path == wire.APPEND_PATH:
            sent.append(body.count(b'"event_id"'))
        return post(path, body, seconds)

    author = of(store)
    monkeypatch.setattr(store, "_post", counting)
    taken = uuid4()
    outcomes: dict[int, object] = {}

    def record(number: int) -> None:
        try:
            of_ = taken if number % 10 == 0 else None
            outcomes[number] = recorder.record(ProjectCreated(name=f"{number}"), of=of_).placed
        except RuleBroken as error:
            outcomes[number] = error

    with Recorder(store, author) as recorder:
        recorder.record(ProjectCreated(name="taken"), of=taken)
        threads = [threading.Thread(target=record, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    refused = {number for number, found in outcomes.items() if isinstance(found, RuleBroken)}
    assert refused == {0, 10, 20, 30}
    assert len(outcomes) == 40
    assert sum(sent) == 41
    assert len(sent) < 30


def test_too_much_for_the_server_is_an_error_of_that_append_alone(
    store: ServedStore,
) -> None:
    """It is a refusal, which a spool keeps aside, and no outage that would stop every drain."""
    large = [
        NewEvent(tenant_id=DEFAULT_TENANT_ID, entity_id=uuid4(), event=ProjectCreated(name="x" * 9))
        for _ in range(600)
    ]
    with pytest.raises(EventRefused, match="large"):
        store.append_spooled(encode_wire(large, rules=True), 10)


def test_questions_are_answered_as_a_database_answers_them(
    served: Served, store: ServedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is longer than a page comes whole, forward and backward."""
    monkeypatch.setattr("quantum_forge.web.questions.PAGE_CHARACTERS", 300)
    with Recorder(store, of(store)) as recorder:
        project = recorder.record(ProjectCreated(name=f"{uuid4()}")).entity_id
        for _ in range(1, 12):
            recorder.record(ProjectUpdated(name=f"{uuid4()}"), of=project)
    ids = [project, uuid4()]
    with served.engine.connect() as connection, store.reading() as served_log:
        here = DatabaseReader(connection, served.accounts["bob"].tenant_id)
        for backward in (False, True):
            whole = list(here.stream("project", project, backward=backward))
            assert list(served_log.stream("project", project, backward=backward)) == whole
            assert len(whole) == 12
        assert list(served_log.stream("project", project, after_version=9)) == list(
            here.stream("project", project, after_version=9)
        )
        assert served_log.streams("project", ids) == here.streams("project", ids)
        assert served_log.last_events("project", ids) == here.last_events("project", ids)
        among = ["project_created"]
        assert served_log.last_event_types("project", ids, among) == here.last_event_types(
            "project", ids, among
        )
        assert served_log.latest_ids("project", ids, "owner_id") == here.latest_ids(
            "project", ids, "owner_id"
        )
        assert served_log.last_assigned() <= here.last_assigned()
        assert served_log.retry_candidates() == here.retry_candidates() == []


def test_every_refusal_comes_back_as_it_was() -> None:
    """Its class, text and attributes: callers decide by them."""
    for error in (
        VersionConflict("project 1", 3, 4),
        RuleBroken("project 1", "new", "project_updated", ("present",)),
        EventRefused("project_created", "name is missing"),
        AccessRefused("x", "because", needed="admin", advice="ask", is_recorded=True),
    ):
        back = wire.error_of(wire.refused(error))
        assert type(back) is type(error)
        assert (str(back), vars(back)) == (str(error), vars(error))


def test_connect_gives_a_recorder(served: Served, tmp_path: Path) -> None:
    """A program with an address and a key records by the rules, with a spool if it wants one."""
    with (
        qf.connect(served.url, served.accounts["bob"].key) as client,
        client.recorder(spool=tmp_path) as recorder,
    ):
        project = recorder.record(ProjectCreated(name="by a program")).entity_id
    assert logged(served.engine, project) == [
        ("project_created", 1, served.accounts["bob"].id),
    ]
