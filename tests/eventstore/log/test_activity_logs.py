"""`activity_logs`, a view of the log: every event of a user, in a few words, without secrets."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, func, select, text

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import load
from quantum_forge.schema.domains import EVENT_TYPES
from quantum_forge.schema.domains.access import SessionStateSaved
from quantum_forge.schema.domains.calculations import CalculationFailed, ErrorSeverity, ErrorType
from quantum_forge.schema.domains.telemetry import PerformanceMetric
from quantum_forge.schema.domains.users import UserLoggedIn, UserRegistered
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.secrecy import secret_fields
from quantum_forge.schema.tables.views import activity_logs
from tests.support.appending import OTHER_TENANT, TENANT

USER = uuid4()
HASH = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$bm9ib2R5J3MgaGFzaA"


def caused(event: Event, *, tenant_id: UUID = TENANT, user_id: UUID | None = USER) -> NewEvent:
    """An event of an entity of its own."""
    return NewEvent(tenant_id=tenant_id, entity_id=uuid4(), event=event, user_id=user_id)


def test_details_are_short_and_without_secrets(connection: Connection) -> None:
    """Texts are cut, lists, objects and hashes left out; an event of nobody is no activity."""
    failed = CalculationFailed(
        molecule_id=None,
        batch_id=None,
        attempt=2,
        error_type=ErrorType.TIMEOUT,
        error_severity=ErrorSeverity.ERROR,
        error_message="too slow",
        stack_trace="x" * 10_000,
        retry_attempts=[{"seconds": 60}],
    )
    history = [
        caused(UserRegistered(email="ada@example.org", username="ada", hashed_password=HASH)),
        caused(SessionStateSaved(current_view="v" * 300, editor_content={"smiles": "CCO"})),
        caused(failed),
        caused(UserLoggedIn(), user_id=None),
    ]
    appended = append(connection, history)

    rows = connection.execute(select(activity_logs).order_by(activity_logs.c.id)).all()

    assert [row.id for row in rows] == [each.position for each in appended[:3]]
    assert [(row.action, row.entity_type) for row in rows] == [
        ("user_registered", "user"),
        ("session_state_saved", "session"),
        ("calculation_failed", "calculation"),
    ]
    assert {row.user_id for row in rows} == {USER}
    assert [row.entity_id for row in rows] == [each.entity_id for each in history[:3]]
    made, saved, ended = (row.details for row in rows)
    assert made == {
        "email": "ada@example.org",
        "username": "ada",
        "role": "researcher",
        "tier": "free",
    }
    assert saved == {"current_view": "v" * 200}
    assert (ended["error_type"], ended["attempt"]) == ("timeout", 2)
    assert ended["stack_trace"] == "x" * 200
    assert "retry_attempts" not in ended


def test_no_secret_field_of_any_event_type_is_shown(connection: Connection) -> None:
    """A new secret field is named in the view, too; hashes say by their type that they are one."""
    secrets = {name for cls in EVENT_TYPES for name in secret_fields(cls)}
    for cls in EVENT_TYPES:
        hashes = {name for name in cls.__struct_fields__ if name.endswith(("_hash", "password"))}
        assert hashes <= secrets, cls.event_type
    definition = connection.scalars(select(func.pg_get_viewdef("activity_logs"))).one()
    lists = {"recovery_code_hashes"}  # no list is a short fact

    assert {name for name in secrets if f"'{name}'" not in definition} == lists


@pytest.fixture
def as_auditor(engine: Engine) -> Iterator[Connection]:
    """A session that reads the log of one tenant, 20,000 events of two tenants long."""
    metric = PerformanceMetric(metric_type="t", metric_name="m", value=1.0, unit="s")
    users = [UUID(int=n, version=4) for n in range(1, 100)]
    load(
        engine,
        (
            caused(
                metric,
                tenant_id=OTHER_TENANT if n % 2 else TENANT,
                user_id=users[n % len(users)] if n % 4 < 2 else None,
            )
            for n in range(20_000)
        ),
    )
    with engine.connect() as connection:
        connection.execute(text("ANALYZE event_logs"))
        connection.commit()
        connection.execute(text("SET LOCAL ROLE qforge_auditor"))
        connection.execute(
            text("SELECT set_config('qforge.tenant_id', :tenant, true)"), {"tenant": str(TENANT)}
        )
        yield connection


def test_an_auditor_sees_the_activities_of_one_tenant_by_an_index(as_auditor: Connection) -> None:
    """Row-level security of the log holds in the view, for whoever asks; a reader may not."""
    seen = as_auditor.execute(
        select(activity_logs.c.tenant_id, func.count()).group_by(activity_logs.c.tenant_id)
    )
    assert seen.all() == [(TENANT, 5_000)]
    user, entity = as_auditor.execute(
        select(activity_logs.c.user_id, activity_logs.c.entity_id).limit(1)
    ).one()
    for index, column, value in [
        ("user_id_id_idx", activity_logs.c.user_id, user),
        ("entity_id_version_idx", activity_logs.c.entity_id, entity),
    ]:
        query = (
            select(activity_logs)
            .where(column == value)
            .order_by(activity_logs.c.id.desc())
            .limit(100)
        )
        sql = query.compile(as_auditor, compile_kwargs={"literal_binds": True})
        plan = "\n".join(as_auditor.scalars(text(f"EXPLAIN {sql}")))
        assert index in plan, plan
        assert "Seq Scan on event_logs_p000000000000001" not in plan, plan
    as_auditor.execute(text("SET LOCAL ROLE qforge_reader"))
    with pytest.raises(NotAllowed, match="permission denied for view activity_logs"):
        as_auditor.execute(select(activity_logs))
