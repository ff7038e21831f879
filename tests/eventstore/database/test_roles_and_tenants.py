"""What the database itself enforces: roles, tenants, and partitions ahead of need."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import LoginNotBound, NotAllowed, OtherTenant
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, libpq_url, make_engine
from quantum_forge.eventstore.database.installation.bindings import bind_login, unbind_login
from quantum_forge.eventstore.database.installation.roles import PURPOSES, describe_roles
from quantum_forge.eventstore.database.tenancy import act_always_for, act_for
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.partitions import list_partitions, make_partitions
from quantum_forge.eventstore.log.read import read_all, safe_head
from quantum_forge.eventstore.security.hashing import hash_password
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.queries.people import select_users
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import EVENT_TYPES, WORKER_ENTITY_TYPES
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id, molecules
from quantum_forge.schema.domains.users import UserRegistered
from quantum_forge.schema.language.secrecy import secret_fields
from quantum_forge.schema.tables import event_logs

OURS, THEIRS = UUID(int=1, version=4), UUID(int=2, version=4)

Login = Callable[..., Engine]


def created(tenant: UUID, smiles: str = "C") -> NewEvent:
    """A molecule of a tenant."""
    event = MoleculeCreated(
        smiles=smiles,
        charge=0,
        multiplicity=1,
        formula="CH4",
        molecular_weight=16.04,
        generation_method="manual",
        toolkit="RDKit",
        toolkit_version="1",
    )
    return NewEvent(tenant_id=tenant, entity_id=molecule_id(tenant, smiles, 0, 1), event=event)


@pytest.fixture
def login(database: Database) -> Iterator[Login]:
    """Make a login that is a member of a role, and return an engine of its."""
    made: list[tuple[str, Engine]] = []

    def make(role: str, bound_to: UUID | None = None) -> Engine:
        name = f"login_{uuid4().hex[:12]}"
        with database.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE {role}"))
        if bound_to is not None:
            bind_login(database.engine, name, bound_to)
        engine = make_engine(database.url.set(username=name))
        made.append((name, engine))
        return engine

    yield make
    for name, engine in made:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))


@pytest.fixture
def populated(engine: Engine) -> Engine:
    """One molecule each of two tenants, projected."""
    with engine.begin() as connection:
        append(connection, [created(OURS), created(THEIRS)])
    catch_up(engine, PROJECTIONS.values())
    return engine


@contextmanager
def acting_for(engine: Engine, tenant: UUID) -> Iterator[Connection]:
    """A transaction on behalf of a tenant."""
    with engine.begin() as connection:
        act_for(connection, tenant)
        yield connection


def test_an_appender_appends_for_its_tenant_and_can_do_nothing_else(login: Login) -> None:
    """A leaked appender's password reads nothing, changes nothing, and forges no other tenant."""
    appender = login("qforge_appender")

    with acting_for(appender, OURS) as connection:
        (placed,) = append(connection, [created(OURS)])
    assert placed.appended

    for statement in (
        "SELECT * FROM event_logs",
        "SELECT * FROM event_streams",
        "SELECT * FROM molecules",
        "SELECT * FROM event_logs_p000000000000001",
        "SELECT append_batch('[]')",
        "SELECT maintain_event_partitions()",
        "INSERT INTO event_logs SELECT * FROM event_logs",
        "SELECT nextval('event_logs_id_seq')",
    ):
        with pytest.raises(NotAllowed), acting_for(appender, OURS) as connection:
            connection.execute(text(statement))


@pytest.mark.parametrize("way", ["one event", "a batch", "the bulk loader"])
def test_a_worker_appends_what_it_computes_and_never_accounts(
    login: Login, engine: Engine, way: str
) -> None:
    """A leaked worker's password changes nobody's password, role or key, on no way in."""
    worker = login("qforge_worker")
    if way == "the bulk loader":
        # Given: somebody's mistake, for the loader is for administrators
        with engine.begin() as connection:
            name = worker.url.username
            granted = f"GRANT EXECUTE ON FUNCTION prepare_load(), load_events() TO {name}"
            connection.execute(text(granted))

    def send(entity_type: str, event_type: str) -> None:
        with acting_for(worker, OURS) as connection:
            chemistry = [_raw("molecule", "molecule_deleted")] if way == "a batch" else []
            events = [*chemistry, _raw(entity_type, event_type)]
            if way != "the bulk loader":
                call = text("SELECT append_events(CAST(:events AS jsonb))")
                connection.execute(call, {"events": json.dumps(events)})
                return
            connection.execute(text("SELECT prepare_load()"))
            connection.execute(
                text(
                    "INSERT INTO load_staging SELECT 1, event_id, tenant_id, entity_id, NULL, NULL,"
                    " 1, entity_type, event_type, data, '{}' FROM jsonb_to_recordset("
                    "CAST(:events AS jsonb)) AS e(event_id uuid, tenant_id uuid, entity_id uuid,"
                    " entity_type text, event_type text, data jsonb)"
                ),
                {"events": json.dumps(events)},
            )
            connection.execute(text("SELECT load_events()"))

    # When: it sends an event of each type, as one of its own type of entity and as one of each type
    # that it may append to, of which one has to do for the bulk loader, which takes long
    as_types = {"calculation"} if way == "the bulk loader" else WORKER_ENTITY_TYPES
    declared = {(each.entity_type, each.event_type) for each in EVENT_TYPES}
    names = {event_type for _, event_type in declared} | {"noted"}
    sent = declared | {(entity_type, name) for entity_type in as_types for name in names}
    reasons = {}
    for each in sorted(sent):
        try:
            send(*each)
        except NotAllowed as error:
            reasons[each] = error.reason

    # Then: it gets in what it is for, and a batch with anything else does not get in at all
    allowed = {each for each in declared if each[0] in WORKER_ENTITY_TYPES}
    assert sent - reasons.keys() == allowed
    assert all(
        f'"{entity_type}"' in reason and f'"{event_type}"' in reason
        for (entity_type, event_type), reason in reasons.items()
    )
    with engine.connect() as connection:
        rows = connection.execute(select(event_logs.c.entity_type, event_logs.c.event_type))
        stored = [tuple(row) for row in rows]
    assert set(stored) == allowed
    assert len(stored) == len(allowed) * (2 if way == "a batch" else 1)
    if way == "the bulk loader":
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {worker.url.username}"))


def test_a_worker_that_may_read_the_log_runs_calculations(
    login: Login, qforge: Callable[..., object], tmp_path: Path
) -> None:
    """The two roles that the docs name for a machine are enough for qforge run."""
    machine = login("qforge_worker, qforge_auditor")
    (tmp_path / "methane.smi").write_text("C methane\n", "utf-8")
    env = {"DATABASE_URL": libpq_url(machine.url)}
    assert "completed\t1" in str(getattr(qforge("run", "methane.smi", env=env), "stdout", ""))


def _raw(entity_type: str, event_type: str) -> dict[str, object]:
    """An event as append_events takes it, without what it says."""
    return {
        "event_id": str(uuid4()),
        "tenant_id": str(OURS),
        "entity_type": entity_type,
        "entity_id": str(uuid4()),
        "event_type": event_type,
        "data": {},
    }


@pytest.mark.parametrize("count", [1, 2])
def test_an_event_of_another_tenant_is_refused_and_nothing_of_the_call_appended(
    login: Login, engine: Engine, count: int
) -> None:
    """append_events compares every event's tenant with the session's, alone or in a batch."""
    appender = login("qforge_appender")
    events = [created(OURS, "CC"), created(THEIRS)][-count:]

    with pytest.raises(OtherTenant), acting_for(appender, OURS) as connection:
        append(connection, events)
    with pytest.raises(OtherTenant), appender.begin() as connection:
        append(connection, events)

    with engine.connect() as connection:
        assert list(read_all(connection)) == []


def test_a_reader_sees_the_rows_of_its_tenant_only(populated: Engine, login: Login) -> None:
    """Row-level security hides the other tenant's rows; without a tenant there are none."""
    reader = login("qforge_reader")
    tenants = select(molecules.c.tenant_id)

    with acting_for(reader, OURS) as connection:
        assert connection.execute(tenants).scalars().all() == [OURS]
    with reader.connect() as connection:
        assert connection.execute(tenants).scalars().all() == []
    with populated.connect() as connection:
        assert len(connection.execute(tenants).scalars().all()) == 2
    with pytest.raises(NotAllowed), acting_for(reader, OURS) as connection:
        connection.execute(select(event_logs.c.id))
    with pytest.raises(NotAllowed), acting_for(reader, OURS) as connection:
        connection.execute(text("UPDATE molecules SET name = 'mine'"))


def test_a_reader_sees_no_hash_and_no_ciphertext(engine: Engine, login: Login) -> None:
    """Of what became of secrets only auditors see, in the log; a rebuild changes nothing of it."""
    register = UserRegistered(
        email="ada@example.org", username="ada", hashed_password=hash_password(Secret("battery"))
    )
    with engine.begin() as connection:
        append(connection, [NewEvent(tenant_id=OURS, entity_id=OURS, event=register)])
    catch_up(engine, PROJECTIONS.values())
    rebuild(engine, PROJECTIONS["users"])

    reader = login("qforge_reader")
    with acting_for(reader, OURS) as connection:
        assert [user.username for user in connection.execute(select_users(OURS, limit=9))] == [
            "ada"
        ]
        assert connection.execute(text("SELECT count(*) FROM database_stats")).scalar_one() > 0
        rights = text(
            "SELECT c.relname, a.attname FROM pg_class AS c"
            "  JOIN pg_attribute AS a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
            "   AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')"
        )
        hidden = {tuple(row) for row in connection.execute(rights)}
    secrets = {
        (projection.name, name)
        for projection in PROJECTIONS.values()
        for cls in projection.events.values()
        for name in secret_fields(cls)
        if name in projection.table.c
    }
    assert {each for each in hidden if each[0] in PROJECTIONS} == secrets
    for table, column in secrets:
        with pytest.raises(NotAllowed), acting_for(reader, OURS) as connection:
            connection.execute(text(f"SELECT {column} FROM {table}"))


def test_an_auditor_reads_the_log_of_its_tenant(populated: Engine, login: Login) -> None:
    """The log itself is divided like the read models."""
    auditor = login("qforge_auditor")
    with acting_for(auditor, THEIRS) as connection:
        assert [event.tenant_id for event in read_all(connection)] == [THEIRS]
    with auditor.connect() as connection:
        assert list(read_all(connection)) == []
    with populated.connect() as connection:
        head = safe_head(connection)
    with auditor.connect() as connection:
        assert safe_head(connection) == head


@pytest.mark.parametrize(
    ("claims", "seen"),
    [
        ('{"tenant_id": "THEIRS"}', [THEIRS]),
        ('{"app_metadata": {"tenant_id": "THEIRS"}}', [THEIRS]),
        ('{"tenant_id": "THEIRS", "app_metadata": {"tenant_id": "OURS"}}', [THEIRS]),
        # What a user may write, and what names no tenant.
        ('{"user_metadata": {"tenant_id": "THEIRS"}}', []),
        ('{"sub": "somebody"}', []),
        ('{"app_metadata": "THEIRS"}', []),
        ("[]", []),
        ("null", []),
    ],
)
def test_the_claims_of_a_gateway_go_before_the_session_setting(
    populated: Engine, login: Login, claims: str, seen: list[UUID]
) -> None:
    """A request cannot choose another tenant than the one that its token names."""
    reader = login("qforge_reader")
    setting = text("SELECT set_config('request.jwt.claims', :claims, true)")
    given = claims.replace("THEIRS", str(THEIRS)).replace("OURS", str(OURS))
    with acting_for(reader, OURS) as connection:
        connection.execute(setting, {"claims": given})
        assert connection.execute(select(molecules.c.tenant_id)).scalars().all() == seen
    assert populated is not None


def test_a_login_that_is_bound_to_a_tenant_cannot_leave_it(
    populated: Engine, login: Login, database: Database
) -> None:
    """Whoever may write SQL may set settings; a bound login's tenant is not one of them."""
    alice = login("qforge_auditor", bound_to=OURS)
    name = str(alice.url.username)
    claims = text("SELECT set_config('request.jwt.claims', :claims, true)")
    with acting_for(alice, THEIRS) as connection:
        connection.execute(claims, {"claims": f'{{"tenant_id": "{THEIRS}"}}'})
        assert connection.execute(select(molecules.c.tenant_id)).scalars().all() == [OURS]
        assert {event.tenant_id for event in read_all(connection)} == {OURS}
    for statement in ("TABLE login_bindings", "DELETE FROM login_bindings"):
        with pytest.raises(NotAllowed), alice.begin() as connection:
            connection.execute(text(statement))
    with pytest.raises(NotAllowed):
        unbind_login(alice, name)
    with populated.connect() as connection:
        (auditor,) = (r for r in describe_roles(connection) if r.name == "qforge_auditor")
    assert auditor.bound == {name: str(OURS)}
    assert auditor.unlimited == []

    # A superuser's ALTER ROLE goes first, and what is unbound chooses again.
    with database.engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {name} SET qforge.tenant_id = '{THEIRS}'"))
    with alice.connect() as connection:
        assert connection.scalar(text("SELECT current_tenant()")) == THEIRS
    with pytest.raises(LoginNotBound, match="bound by ALTER ROLE already"):
        bind_login(database.engine, name, OURS)
    with database.engine.begin() as connection:
        connection.execute(text(f"ALTER ROLE {name} RESET qforge.tenant_id"))
    unbind_login(database.engine, name)
    with acting_for(alice, THEIRS) as connection:
        assert connection.execute(select(molecules.c.tenant_id)).scalars().all() == [THEIRS]
    with pytest.raises(LoginNotBound, match="qforge db roles"):
        unbind_login(database.engine, name)


@pytest.mark.parametrize("by_table", [False, True])
def test_a_function_beside_the_tables_unbinds_nobody(
    populated: Engine, login: Login, by_table: bool
) -> None:
    """PostgreSQL prefers a function whose argument types fit exactly, wherever it is searched."""
    alice = login("qforge_auditor", bound_to=OURS if by_table else None)
    name = alice.url.username
    with populated.begin() as connection:
        connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {name}"))
        if not by_table:
            connection.execute(text(f"ALTER ROLE {name} SET qforge.tenant_id = '{OURS}'"))
    with alice.begin() as connection:
        for type_ in ("name", "text"):
            connection.exec_driver_sql(
                f"CREATE FUNCTION public.quote_ident({type_}) RETURNS text LANGUAGE sql RETURN 'x'"
            )
        connection.exec_driver_sql(
            "CREATE FUNCTION public.never(text, name) RETURNS boolean LANGUAGE sql RETURN false;"
            "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = name, FUNCTION = public.never)"
        )

    with acting_for(alice, THEIRS) as connection:
        assert connection.scalar(text("SELECT current_tenant()")) == OURS

    with populated.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {name}"))


def test_a_binding_without_effect_is_refused_and_one_that_lost_it_is_shown(
    populated: Engine, login: Login
) -> None:
    """Nobody believes in a limit that is not there."""
    projector = login("qforge_projector")
    name = str(projector.url.username)
    for wrong, why in (
        (name, "acts for every tenant as a member of qforge_projector"),
        ("qforge_reader", "cannot log in"),
        ("postgres", "does not apply to superusers"),
        ("nobody_at_all", "no such login"),
    ):
        with pytest.raises(LoginNotBound, match=why):
            bind_login(populated, wrong, OURS)
    reader = login("qforge_reader", bound_to=OURS)
    with populated.begin() as connection:
        connection.execute(text(f"GRANT qforge_admin TO {reader.url.username}"))
        roles = {role.name: role for role in describe_roles(connection)}
    assert roles["qforge_admin"].unlimited == [reader.url.username]
    assert roles["qforge_reader"].unlimited == [reader.url.username]


def test_an_owner_that_is_no_superuser_binds_logins(
    empty_database: Database, qforge: Callable[..., object]
) -> None:
    """As on a hosted database, where ALTER ROLE … SET qforge.tenant_id is refused to the owner."""
    administrator = empty_database.engine
    owner, alice = (f"{word}_{uuid4().hex[:8]}" for word in ("owner", "alice"))
    with administrator.begin() as connection:
        connection.execute(text(f"CREATE ROLE {owner} LOGIN CREATEROLE"))
        connection.execute(text(f"CREATE ROLE {alice} LOGIN IN ROLE qforge_auditor"))
        name = administrator.url.database
        connection.execute(text(f"ALTER DATABASE {name} OWNER TO {owner}"))
        connection.execute(text(f"ALTER SCHEMA public OWNER TO {owner}"))
    address = libpq_url(administrator.url.set(username=owner))
    env = {"DATABASE_URL": address}

    qforge("db", "upgrade", env=env)
    qforge("db", "bind", alice, str(OURS), env=env)
    shown = str(getattr(qforge("db", "roles", env=env), "stdout", ""))
    engine = make_engine(administrator.url.set(username=alice))
    with acting_for(engine, THEIRS) as connection:
        assert connection.scalar(text("SELECT current_tenant()")) == OURS
    qforge("db", "unbind", alice, env=env)
    with acting_for(engine, THEIRS) as connection:
        assert connection.scalar(text("SELECT current_tenant()")) == THEIRS
    engine.dispose()

    assert f"{alice} (bound to {OURS})" in shown
    administrator.dispose()
    with administrator.begin() as connection:
        connection.execute(text(f"REASSIGN OWNED BY {owner} TO postgres; DROP OWNED BY {owner}"))
        connection.execute(text(f"DROP ROLE {owner}, {alice}"))


def test_a_projector_projects_every_tenant(engine: Engine, login: Login) -> None:
    """The projector's role is enough for it, partitions ahead included."""
    with engine.begin() as connection:
        append(connection, [created(OURS), created(THEIRS)])

    catch_up(login("qforge_projector"), PROJECTIONS.values())

    with engine.connect() as connection:
        assert len(connection.execute(select(molecules.c.id)).all()) == 2


def test_an_engine_can_act_for_one_tenant_in_every_transaction(
    populated: Engine, login: Login
) -> None:
    """What commands do: the tenant of the settings holds for all their transactions."""
    reader = login("qforge_reader")
    act_always_for(reader, THEIRS)
    for _ in range(2):
        with reader.connect() as connection:
            seen = connection.execute(select(molecules.c.tenant_id)).scalars().all()
            assert seen == [THEIRS]
    assert populated is not None


def test_every_table_has_its_policies_and_every_definer_function_its_search_path(
    connection: Connection,
) -> None:
    """A new read model is guarded the moment it exists."""
    guarded = text("SELECT relname FROM pg_class WHERE relrowsecurity AND relkind IN ('r', 'p')")
    names = set(connection.execute(guarded).scalars())
    assert names >= {*PROJECTIONS, "event_logs", "event_streams", "event_logs_default"}
    policies = text("SELECT tablename, policyname FROM pg_policies")
    found = {tuple(row) for row in connection.execute(policies)}
    for name in PROJECTIONS:
        assert {(name, "own_tenant"), (name, "every_tenant")} <= found
    unpinned = text(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        " AND NOT coalesce(proconfig::text LIKE '%search_path=%pg_temp%', false)"
    )
    assert connection.execute(unpinned).scalars().all() == []


def test_roles_are_shown_to_the_command_line(qforge: Callable[..., object]) -> None:
    """`qforge db roles` names every role; `--sql` runs in psql."""
    shown = str(getattr(qforge("db", "roles"), "stdout", ""))
    assert all(name in shown for name in PURPOSES)
    sql = str(getattr(qforge("db", "roles", "--sql"), "stdout", ""))
    qforge("db", "psql", "-v", "ON_ERROR_STOP=1", "-c", sql)


def test_partitions_are_made_ahead_and_running_out_refuses_nothing(engine: Engine) -> None:
    """Events beyond the last partition go to the default one; later partitions begin above them."""
    with engine.begin() as connection:
        last = max(p.last_position or 0 for p in list_partitions(connection))
        connection.execute(text(f"SELECT setval('event_logs_id_seq', {last + 5})"))
        (placed,) = append(connection, [created(OURS)])
    assert placed.position > last
    with engine.connect() as connection:
        default = text("SELECT count(*) FROM event_logs_default")
        assert connection.execute(default).scalar_one() == 1

    made = make_partitions(engine)

    assert made
    assert make_partitions(engine) == []
    with engine.begin() as connection:
        partitions = list_partitions(connection)
        assert partitions[-1].name == "event_logs_default"
        first_new = next(p for p in partitions if p.name == made[0])
        assert first_new.first_position is not None
        assert first_new.first_position > placed.position
        connection.execute(text(f"SELECT setval('event_logs_id_seq', {first_new.first_position})"))
        (later,) = append(connection, [created(THEIRS)])
    with engine.connect() as connection:
        events = [event.position for event in read_all(connection)]
        assert events == [placed.position, later.position]
        count = text(f"SELECT count(*) FROM {made[0]}")
        assert connection.execute(count).scalar_one() == 1
    for statement in ("DELETE FROM", "TRUNCATE"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(f"{statement} {made[0]}"))


def test_large_objects_can_be_taken_from_everybody(
    qforge_here: Callable[..., object], login: Login
) -> None:
    """A reader could fill the database with them, and only a superuser can revoke them."""
    reader = login("qforge_reader")
    make = text("SELECT lo_from_bytea(0, 'x')")
    with reader.connect() as connection:
        assert connection.scalar(make)

    qforge_here("db", "roles", "--restrict-large-objects")
    for statement in (make, text("SELECT lo_creat(-1)"), text("SELECT lo_create(0)")):
        with pytest.raises(NotAllowed), reader.connect() as connection:
            connection.execute(statement)

    qforge_here("db", "roles", "--allow-large-objects")
    with reader.connect() as connection:
        assert connection.scalar(make)


@pytest.mark.parametrize("call", ["-1, 2", "1, 2", "10000000, 200", "NULL, 2", "2000000000, 1"])
def test_partitions_are_made_within_limits(login: Login, call: str) -> None:
    """A projector's password makes neither hundreds of partitions nor tiny ones."""
    projector = login("qforge_projector")
    with pytest.raises(DBAPIError, match="are refused"), projector.begin() as connection:
        connection.execute(text(f"SELECT maintain_event_partitions({call})"))


def test_sizes_of_the_whole_log_are_shown_to_those_who_see_all_of_it(login: Login) -> None:
    """A login of one tenant sees where partitions are, and neither rows nor bytes of others."""
    with login("qforge_reader").connect() as connection:
        assert {(each.rows, each.bytes) for each in list_partitions(connection)} == {(None, None)}
    with login("qforge_projector").connect() as connection:
        assert all(each.bytes for each in list_partitions(connection))


def test_the_safe_head_is_refused_where_the_sequence_may_not_be_read(
    engine: Engine, login: Login
) -> None:
    """It said 0, as for an empty log, and a reader waited for ever."""
    reader = login("qforge_reader")
    with engine.begin() as connection:
        connection.execute(text("REVOKE SELECT ON SEQUENCE event_logs_id_seq FROM qforge_reader"))
    with pytest.raises(NotAllowed, match="event_logs_id_seq"), reader.connect() as connection:
        safe_head(connection)
