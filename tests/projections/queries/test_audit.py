"""Use case 5: what did X export last month; who changed this, and what was it before."""

import csv
import json
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.log.load import load
from quantum_forge.eventstore.log.read import Filter, matching, read_all
from quantum_forge.schema.domains.audit import ActionAudited, AuditStatus, DataExported
from quantum_forge.schema.domains.molecules import MoleculeUpdated, molecule_id
from quantum_forge.schema.domains.telemetry import ApiRequestServed, PerformanceMetric
from quantum_forge.schema.domains.users import (
    Role,
    UserLoggedIn,
    UserLoginFailed,
    UserPasswordChanged,
    UserRegistered,
    UserRoleChanged,
)
from quantum_forge.schema.language.event import Event
from tests.conftest import Qforge
from tests.support.campaigns import counted, running
from tests.support.chemical_history import created, happened, record

ADA, BOB, EVE = (UUID(int=n, version=4) for n in (1, 2, 3))
OTHER_TENANT = UUID(int=9, version=4)
WATER = molecule_id(DEFAULT_TENANT_ID, "O", 0, 1)
HASH = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "B" * 43
OCTOBER = ("--since", "2026-10-01T00:00+00:00", "--until", "2026-11-01T00:00+00:00")


def at(day: str, event: Event, entity: UUID, who: UUID | None = ADA) -> NewEvent:
    """Something that somebody did on a day."""
    return happened(
        event, entity, at=datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC), user_id=who
    )


def exported(day: str, what: str, who: UUID) -> NewEvent:
    """An export of a day."""
    return at(
        day, DataExported(what=what, format="csv", row_count=7), UUID(int=hash(what) % 2**64), who
    )


@pytest.fixture
def people(engine: Engine) -> Engine:
    """Return a database with an admin, a researcher, and what they did in autumn."""
    record(
        engine,
        at("2026-09-01", UserRegistered(email="ada@x.org", username="ada", role=Role.ADMIN), ADA),
        at("2026-09-02", UserRegistered(email="bob@x.org", username="bob"), BOB),
        exported("2026-09-30", "too early", BOB),
        exported("2026-10-05", "gaps", BOB),
        exported("2026-10-06", "by ada", ADA),
        exported("2026-10-31", "charges", BOB),
        exported("2026-11-01", "too late", BOB),
        created("O"),
        at("2026-10-07", MoleculeUpdated(name="water"), WATER, BOB),
        at("2026-10-08", MoleculeUpdated(name="dihydrogen monoxide"), WATER, ADA),
        at("2026-10-09", UserRoleChanged(role=Role.VIEWER), BOB, ADA),
        at("2026-10-10", UserPasswordChanged(hashed_password=HASH), BOB, BOB),
        at("2026-10-11", UserLoggedIn(), BOB, BOB),
        at("2026-10-12", UserLoginFailed(reason="wrong password"), BOB, BOB),
        at(
            "2026-10-13",
            ActionAudited(action="report_print", status=AuditStatus.DENIED, reason="no printer"),
            UUID(int=50),
            BOB,
        ),
    )
    return engine


def asked(
    qforge: Qforge, *arguments: str, who: UUID = ADA, status: int = 0
) -> list[Mapping[str, Any]]:
    """What the command answers to a person, as JSON."""
    done = qforge("audit", *arguments, "--json", env={"QFORGE_USER_ID": str(who)}, status=status)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("people")
def test_what_did_bob_export_last_month(qforge_here: Qforge) -> None:
    """By name, action and time; neither others' exports nor other months'."""
    found = asked(qforge_here, "--user", "bob", "--action", "data_export", *OCTOBER)

    assert [each["changes"]["what"]["new"] for each in found] == ["gaps", "charges"]
    assert {each["user_id"] for each in found} == {str(BOB)}
    assert found == asked(qforge_here, "--user", "bob@x.org", "--action", "data_exported", *OCTOBER)


@pytest.mark.usefixtures("people")
def test_who_changed_this_and_what_was_it_before(qforge_here: Qforge) -> None:
    """Each event beside what the entity's earlier events said."""
    found = asked(qforge_here, "--entity", str(WATER))

    assert [(each["event_type"], each["user_id"] == str(ADA)) for each in found] == [
        ("molecule_created", False),
        ("molecule_updated", False),
        ("molecule_updated", True),
    ]
    assert found[-1]["changes"] == {"name": {"old": "water", "new": "dihydrogen monoxide"}}
    (role,) = asked(qforge_here, "--action", "role_change")
    assert role["changes"] == {"role": {"old": "researcher", "new": "viewer"}}


@pytest.mark.usefixtures("people")
def test_what_was_denied_and_who_logged_in(qforge_here: Qforge) -> None:
    """Failed logins, refusals, and what other services report; successes apart."""
    denied = asked(qforge_here, "--status", "denied")
    logins = asked(qforge_here, "--action", "login")

    assert [(each["action"], each["reason"]) for each in denied] == [
        ("login", "wrong password"),
        ("report_print", "no printer"),
    ]
    assert [each["status"] for each in logins] == ["success", "denied"]
    assert asked(qforge_here, "--action", "login", "--status", "success") == logins[:1]
    assert asked(qforge_here, "--action", "report_print") == denied[1:]


@pytest.mark.usefixtures("people")
def test_a_secret_is_never_shown(qforge_here: Qforge) -> None:
    """That it changed is; neither the old nor the new hash."""
    (change,) = asked(qforge_here, "--action", "password_change")

    assert change["changes"] == {"hashed_password": {"old": None, "new": "(secret)"}}
    assert HASH not in json.dumps(asked(qforge_here, "--entity", str(BOB)))


def test_every_export_of_the_trail_is_itself_recorded(qforge_here: Qforge, people: Engine) -> None:
    """As CSV and as JSON; what people read on the screen is none."""
    before = counted(people)["data_exported"]

    as_admin = {"QFORGE_USER_ID": str(ADA)}
    shown = qforge_here("audit", "--user", "bob", env=as_admin).stdout
    assert counted(people)["data_exported"] == before
    assert "login" in shown

    table = qforge_here("audit", "--user", "bob", "--csv", env=as_admin).stdout
    rows = list(csv.DictReader(table.splitlines()))
    assert rows[-1]["action"] == "report_print"
    assert json.loads(rows[0]["changes"])["what"]["new"] == "too early"

    (export,) = asked(qforge_here, "--user", str(ADA), "--action", "data_export", "--since", "1h")
    assert export["changes"]["what"]["new"] == "audit trail"
    assert export["changes"]["format"]["new"] == "csv"
    assert export["changes"]["row_count"]["new"] == len(rows)


def test_an_export_is_recorded_though_its_reader_leaves(
    database: Database, people: Engine, tmp_path: Path
) -> None:
    """`| head` does not keep an export out of the trail."""
    before = counted(people)["data_exported"]
    variables = {"DATABASE_URL": libpq_url(database.url), "QFORGE_USER_ID": str(ADA)}

    with running(tmp_path, "audit", "--csv", **variables) as export:
        assert export.process.stdout is not None
        export.process.stdout.close()
        export.process.wait(60)

    assert counted(people)["data_exported"] == before + 1


@pytest.mark.parametrize("end", ["Ctrl-C", "closed pipe"])
def test_what_was_followed_is_recorded_at_the_end(
    database: Database, people: Engine, tmp_path: Path, end: str
) -> None:
    """What came while the trail was followed is an export of its own, a row on its way included."""
    variables = {"DATABASE_URL": libpq_url(database.url), "QFORGE_USER_ID": str(ADA)}
    question = ("audit", "--json", "--follow", "--action", "login")

    with running(tmp_path, *question, **variables) as follower:
        assert follower.process.stdout is not None
        lines = [follower.process.stdout.readline() for _ in range(2)]
        record(people, at("2026-11-01", UserLoggedIn(), BOB, BOB))
        lines.append(follower.process.stdout.readline())
        if end == "Ctrl-C":
            follower.signal_group(signal.SIGINT)
        else:
            follower.process.stdout.close()
            record(people, at("2026-11-02", UserLoggedIn(), BOB, BOB))
        assert follower.process.wait(60) == (130 if end == "Ctrl-C" else 0)

    assert {json.loads(line)["action"] for line in lines} == {"login"}
    with people.connect() as connection:
        where = Filter(types=["data_exported"], user_id=ADA)
        exports = [event.data for event in read_all(connection, where=where)][-2:]
    assert [(each["row_count"], each["destination"]) for each in exports] == [
        (2, "stdout"),
        (1 if end == "Ctrl-C" else 2, "stdout, following"),
    ]


def test_who_may_not_ask_is_recorded(qforge_here: Qforge, people: Engine) -> None:
    """A viewer sees their own deeds only; a stranger to the tenant nothing."""
    assert asked(qforge_here, "--user", "bob", who=BOB)
    assert asked(qforge_here, "--user", "ada", who=BOB, status=1) == []
    assert asked(qforge_here, who=EVE, status=1) == []

    denied = asked(qforge_here, "--action", "audit_read")
    assert [each["user_id"] for each in denied] == [str(BOB), str(EVE)]
    assert "requires the role admin, and yours is viewer" in denied[0]["reason"]
    assert "does not belong to tenant" in denied[1]["reason"]
    assert counted(people)["access_denied"] == 2


PROJECT = "00000000-0000-4000-8000-000000000777"


@pytest.mark.parametrize(
    ("roles", "event", "bound_to", "recorded_for"),
    [
        # What begins a project needs no look at the log, what changes one does.
        ("qforge_appender", ["project_updated", "--entity-id", PROJECT], None, DEFAULT_TENANT_ID),
        ("qforge_auditor, qforge_appender", ["project_created"], OTHER_TENANT, OTHER_TENANT),
        ("qforge_reader", ["project_created"], None, None),
    ],
)
def test_what_the_database_refuses_is_recorded_once(
    qforge_here: Qforge,
    database: Database,
    roles: str,
    event: list[str],
    bound_to: UUID | None,
    recorded_for: UUID | None,
) -> None:
    """Who may not read, who may not act for that tenant; and who may not even append is refused."""
    login = f"login_{uuid4().hex[:12]}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {login} LOGIN IN ROLE {roles}"))
        if bound_to is not None:
            connection.execute(text(f"ALTER ROLE {login} SET qforge.tenant_id = '{bound_to}'"))

    url = libpq_url(database.url.set(username=login))
    variables = {"DATABASE_URL": url, "QFORGE_USER_ID": str(BOB)}
    data = ("--data", '{"name": "Malaria"}')
    refused = qforge_here("record", *event, *data, env=variables, status=1)

    with database.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {login}"))
        found = list(read_all(connection, where=Filter(types=["access_denied"])))
    expected = [] if recorded_for is None else [(recorded_for, BOB, "record")]
    assert [(each.tenant_id, each.user_id, each.data["action"]) for each in found] == expected
    assert all(each.data["reason"] in refused.stderr for each in found)


def test_in_a_space_without_users_its_owner_may_ask(qforge_here: Qforge, engine: Engine) -> None:
    """Nobody needs an account to look at what they did themselves; the empty case is empty."""
    assert asked(qforge_here) == []
    record(engine, created("O", tenant_id=OTHER_TENANT))
    assert all(each["event_type"] == "data_exported" for each in asked(qforge_here))


@pytest.mark.usefixtures("people")
def test_an_unknown_action_is_refused_with_the_similar_ones(qforge_here: Qforge) -> None:
    """Event types, words of the trail, commands, and what services have reported are known."""
    ada = {"QFORGE_USER_ID": str(ADA)}
    refused = qforge_here("audit", "--action", "data_exprt", env=ada, status=2)
    assert "no action 'data_exprt'; did you mean data_export or data_exported" in refused.stderr
    assert asked(qforge_here, "--action", "users_role", "--action", "molecule_created")
    assert "did you mean report_print?" in (
        qforge_here("audit", "--action", "report_prin", env=ada, status=2).stderr
    )


def test_requests_that_only_read_are_left_out(qforge_here: Qforge, people: Engine) -> None:
    """Unless they are asked for; a pipe shows the names of users and entities beside their ids."""
    for number, method in enumerate(("GET", "POST"), 60):
        served = ApiRequestServed(
            endpoint=f"/{method}", method=method, status_code=200, response_time_ms=1.0
        )
        record(people, at("2026-10-14", served, UUID(int=number), BOB))
    since = ("--since", "2026-10-14T00:00+00:00", "--until", "2026-10-15")

    def endpoints(*more: str) -> list[str]:
        return [each["changes"]["endpoint"]["new"] for each in asked(qforge_here, *since, *more)]

    assert endpoints() == ["/POST"]
    assert endpoints("--reads") == ["/GET", "/POST"]
    assert endpoints("--action", "api_request_served") == ["/GET", "/POST"]
    table = qforge_here("audit", "--entity", str(WATER), env={"QFORGE_USER_ID": str(ADA)}).stdout
    header, *_, last = (line.split("\t") for line in table.splitlines())
    shown = dict(zip(header, last, strict=True))
    assert (shown["user"], shown["user_id"]) == ("ada", str(ADA))
    assert (shown["entity"], shown["entity_id"]) == ("dihydrogen monoxide", str(WATER))


def test_an_unknown_user_is_one_clear_error(qforge_here: Qforge) -> None:
    """Before anything is read."""
    assert "no user 'nobody'" in qforge_here("audit", "--user", "nobody", status=2).stderr


def test_each_question_is_served_by_an_index(people: Engine) -> None:
    """On a long log, a person's, an entity's and an action's trail are not searched for."""
    metric = PerformanceMetric(metric_type="t", metric_name="m", value=1.0, unit="s")
    load(people, (happened(metric, UUID(int=n % 99), user_id=EVE) for n in range(20_000)))
    questions = {
        "user_id_id_idx": Filter(tenant_id=DEFAULT_TENANT_ID, user_id=BOB),
        "entity_id_version_idx": Filter(tenant_id=DEFAULT_TENANT_ID, entity_id=WATER),
        "event_type_id_idx": Filter(tenant_id=DEFAULT_TENANT_ID, types=["data_exported"]),
    }
    with people.connect() as connection:
        connection.execute(text("ANALYZE event_logs"))
        for index, where in questions.items():
            query = matching(where).order_by(text("position DESC")).limit(100)
            sql = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = "\n".join(
                connection.exec_driver_sql(
                    f"EXPLAIN {sql}", execution_options={"no_parameters": True}
                ).scalars()
            )
            assert index in plan, plan
            assert "Seq Scan on event_logs_p000000000000001" not in plan, plan
