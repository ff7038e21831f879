"""Supabase or PostgREST before the database: their roles read by the claims of each request."""

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import GatewayMissing, NotAllowed
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.gateways import set_gateway
from quantum_forge.eventstore.database.installation.roles import PURPOSES, create_roles
from quantum_forge.eventstore.doctor.checks import Level
from quantum_forge.eventstore.doctor.checks.others import memberships
from quantum_forge.eventstore.doctor.checks.privileges import grants
from quantum_forge.eventstore.log.append import append, encode_wire
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.discovery import ProjectCreated

ROLES = ("anon", "authenticated", "service_role")
OURS, THEIRS = uuid4(), uuid4()


@pytest.fixture
def hosted(empty_database: Database) -> Iterator[Database]:
    """Return a database as Supabase makes one, migrated by an owner who is no superuser.

    Each new object is granted to the gateway's roles, by which it acts for everybody.
    """
    name = empty_database.engine.url.database
    create_roles(empty_database.engine)
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN;"
            "CREATE ROLE service_role NOLOGIN BYPASSRLS;"
            "CREATE ROLE authenticator LOGIN NOINHERIT;"
            "GRANT anon, authenticated, service_role TO authenticator;"
            "CREATE ROLE host LOGIN CREATEROLE;"
            f"ALTER DATABASE {name} OWNER TO host;"
            "GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;"
        )
        for granted in PURPOSES:
            # On a server of its own, the owner makes these roles, and so may grant them.
            connection.exec_driver_sql(f"GRANT {granted} TO host WITH ADMIN OPTION")
    host = make_engine(empty_database.url.set(username="host"))
    with host.begin() as connection:
        for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            connection.exec_driver_sql(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {what} TO "
                "anon, authenticated, service_role"
            )
    migrations.upgrade(host)
    owned = Database(host)
    yield owned
    owned.close()
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        for role in ("host", "authenticator", *ROLES):
            connection.exec_driver_sql(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def as_role(connection: Connection, role: str, claims: dict[str, object] | None) -> None:
    """Do what PostgREST does at the beginning of a request's transaction."""
    connection.execute(
        text(
            "SELECT set_config('role', :role, true),"
            " set_config('request.jwt.claims', :claims, true)"
        ),
        {"role": role, "claims": "" if claims is None else json.dumps(claims)},
    )


def seen(engine: Engine, role: str, claims: dict[str, object] | None, table: str) -> list[UUID]:
    """Return whose rows a request sees."""
    with engine.begin() as connection:
        as_role(connection, role, claims)
        return list(connection.scalars(text(f"SELECT DISTINCT tenant_id FROM {table}")))


def test_the_gateways_roles_read_what_the_claims_say_and_nothing_by_default_privileges(
    hosted: Database,
) -> None:
    """Before the command nobody reads; after it each user their tenant; after undoing it nobody."""
    with hosted.engine.begin() as connection:
        for tenant in (OURS, THEIRS):
            event = ProjectCreated(name="one")
            append(connection, [NewEvent(tenant_id=tenant, entity_id=uuid4(), event=event)])
    catch_up(hosted.engine, PROJECTIONS.values())
    gateway = make_engine(hosted.url.set(username="authenticator"))
    claims: dict[str, object] = {"role": "authenticated", "app_metadata": {"tenant_id": str(OURS)}}

    def nobody_reads() -> None:
        for role in ROLES:
            for table in ("projects", "event_logs", "users", "projection_checkpoints"):
                with pytest.raises((DBAPIError, NotAllowed)):
                    seen(gateway, role, claims, table)

    nobody_reads()
    with pytest.raises((DBAPIError, NotAllowed)):
        seen(gateway, "qforge_admin", claims, "projects")

    set_gateway(hosted.engine, grants=True)
    assert set_gateway(hosted.engine, grants=True) == []
    assert seen(gateway, "authenticated", claims, "projects") == [OURS]
    assert seen(gateway, "authenticated", {"tenant_id": str(THEIRS)}, "projects") == [THEIRS]
    assert seen(gateway, "authenticated", None, "projects") == []
    for role, table in (
        ("anon", "projects"),
        ("authenticated", "event_logs"),
        ("authenticated", "login_bindings"),
    ):
        with pytest.raises((DBAPIError, NotAllowed)):
            seen(gateway, role, claims, table)
    with gateway.connect() as connection, connection.begin():
        as_role(connection, "authenticated", claims)
        with pytest.raises((DBAPIError, NotAllowed)):
            connection.execute(text("UPDATE projects SET name = 'mine'"))

    # The log takes events of the claims' tenant from programs, and from nobody else.
    def wire(tenant: UUID) -> dict[str, str]:
        event = NewEvent(tenant_id=tenant, entity_id=uuid4(), event=ProjectCreated(name="x"))
        return {"events": encode_wire([event]).decode()}

    call = text("SELECT position FROM append_events(CAST(:events AS jsonb))")
    for role, tenant, may in (
        ("service_role", OURS, True),
        ("service_role", THEIRS, False),
        ("authenticated", OURS, False),
        ("anon", OURS, False),
    ):
        with gateway.connect() as connection, connection.begin():
            as_role(connection, role, claims)
            if may:
                assert connection.scalar(call, wire(tenant))
            else:
                with pytest.raises((DBAPIError, NotAllowed)):
                    connection.execute(call, wire(tenant))

    with hosted.engine.connect() as connection:
        assert grants(connection).level is Level.OK
        assert memberships(connection).level is Level.OK
    migrations.upgrade(hosted.engine)
    assert seen(gateway, "authenticated", claims, "projects") == [OURS]

    assert len(set_gateway(hosted.engine, grants=False)) == 3
    nobody_reads()
    gateway.dispose()


def test_roles_that_are_missing_are_named(database: Database) -> None:
    """With the statements that make them; nothing is granted."""
    with pytest.raises(GatewayMissing, match="CREATE ROLE anon NOLOGIN"):
        set_gateway(database.engine, grants=True)
    assert set_gateway(database.engine, grants=False) == []
