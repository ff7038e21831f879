"""A place in the log is compared with the events that its reader had seen, and with no others."""

from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.database.tenancy import act_for
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.place import (
    SPAN,
    LogDiverged,
    Place,
    PlaceOfEveryTenant,
    place_at,
    require_place,
)
from quantum_forge.eventstore.log.subscribe import subscribe
from tests.eventstore.database.test_roles_and_tenants import Login, login
from tests.support.appending import OTHER_TENANT, TENANT, append_and_commit, small_event

__all__ = ["login"]

HELD = 12
"""Events of the log that the law changes."""

AS_A_FAILOVER = text("SET LOCAL session_replication_role = replica")
"""Lets a superuser change the log."""

CHANGES = {
    "lost": "DELETE FROM event_logs WHERE id = :id",
    "replaced": "UPDATE event_logs SET event_id = gen_random_uuid() WHERE id = :id",
    "added": """
        INSERT INTO event_logs SELECT (jsonb_populate_record(e, jsonb_build_object(
                   'id', e.id + 1, 'event_id', gen_random_uuid()))).*
          FROM event_logs AS e WHERE e.id = :id
            ON CONFLICT DO NOTHING
    """,
}

Row = tuple[int, UUID]


def rows_of(connection: Connection, tenant_id: UUID | None) -> list[Row]:
    """Positions and ids of a tenant's events, or of all."""
    query = text(
        "SELECT id, event_id FROM event_logs WHERE tenant_id = coalesce(:tenant_id, tenant_id)"
        " ORDER BY id"
    )
    return [(row.id, row.event_id) for row in connection.execute(query, {"tenant_id": tenant_id})]


def is_refused(connection: Connection, place: Place) -> bool:
    """Whether the log is another one than the place is of."""
    try:
        require_place(connection, place)
    except LogDiverged:
        return True
    return False


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, HELD - 1)), max_size=3
    ),
    remembered=st.integers(1, HELD),
)
def test_a_place_is_refused_if_and_only_if_an_event_that_it_covers_has_changed(
    engine: Engine, changes: list[tuple[str, int]], remembered: int
) -> None:
    """Of its tenant or of all; whatever is lost, replaced or added, and however few are covered."""
    with engine.connect() as connection, pytest.MonkeyPatch.context() as patch:
        # Given: events of two tenants by turns, with gaps between their positions
        patch.setattr("quantum_forge.eventstore.log.place.REMEMBERED", remembered)
        for n in range(HELD):
            tenant_id = (TENANT, OTHER_TENANT)[n % 2]
            append(connection, [small_event(number=n, tenant_id=tenant_id)])
            connection.execute(text("SELECT nextval('event_logs_id_seq')"))
        tenants = (None, TENANT, OTHER_TENANT)
        read = {tenant: rows_of(connection, tenant) for tenant in tenants}
        last, _ = read[None][-1]
        places = {tenant: place_at(connection, last, tenant_id=tenant) for tenant in tenants}

        # When: some of the log changes
        connection.execute(AS_A_FAILOVER)
        for kind, n in changes:
            connection.execute(text(CHANGES[kind]), {"id": read[None][n][0]})

        # Then
        for tenant, place in places.items():
            covered = read[tenant][-remembered:]
            now = [
                row
                for row in rows_of(connection, tenant)
                if covered[0][0] <= row[0] <= covered[-1][0]
            ]
            found = is_refused(connection, Place.parse(str(place)))
            assert found == (now != covered), (tenant, place)


def test_the_place_of_an_empty_log_is_its_beginning(engine: Engine) -> None:
    """Nothing was read, so nothing can have changed."""
    with engine.connect() as connection:
        place = place_at(connection, 0)
        require_place(connection, place)
    assert (place, str(place)) == (Place(), "0")


def test_the_digest_looks_no_further_than_its_span(engine: Engine) -> None:
    """A tenant with few events far apart costs a bounded time; its last event is compared."""
    append_and_commit(engine, small_event())
    with engine.begin() as connection:
        connection.execute(text("SELECT setval('event_logs_id_seq', :n)"), {"n": SPAN + 10})
    (last,) = append_and_commit(engine, small_event())
    with engine.connect() as connection:
        place = place_at(connection, last.position)
        connection.execute(AS_A_FAILOVER)
        connection.execute(text("DELETE FROM event_logs WHERE id = 1"))
        require_place(connection, place)
    assert place.digest is not None
    assert place.digest.startswith(f"all-{last.position}-")


def test_a_place_holds_for_whoever_sees_its_events(engine: Engine, login: Login) -> None:
    """A tenant's place is compared by its own login and by an administrator, over the same rows."""
    # Given: places of two tenants' logins and of an administrator
    pairs = [(small_event(), small_event(tenant_id=OTHER_TENANT)) for _ in range(3)]
    placed = append_and_commit(engine, *(event for pair in pairs for event in pair))
    ours = login("qforge_auditor", bound_to=TENANT)
    theirs = login("qforge_auditor", bound_to=OTHER_TENANT)
    admin = login("qforge_admin")
    places = {}
    for reader in (ours, theirs, admin):
        with reader.connect() as connection:
            places[reader] = place_at(connection, placed[-1].position)
    assert [str(p).split(":")[2].split("-")[0] for p in places.values()] == [
        "tenant",
        "tenant",
        "all",
    ]

    # Then: each is compared where its events are seen, and refused by name elsewhere
    for reader in (ours, theirs, admin, engine):
        with reader.connect() as connection:
            act_for(connection, TENANT)
            if reader in (ours, admin, engine):
                require_place(connection, places[ours])
            if reader in (admin, engine):
                require_place(connection, places[admin])
            elif reader in places:
                with pytest.raises(PlaceOfEveryTenant, match="login that sees all tenants"):
                    require_place(connection, places[admin])
    with theirs.connect() as connection, pytest.raises(LogDiverged, match="of one tenant only"):
        require_place(connection, places[ours])

    # When: an event of theirs is lost
    with engine.begin() as connection:
        connection.execute(AS_A_FAILOVER)
        connection.execute(
            text("DELETE FROM event_logs WHERE id = :id"), {"id": placed[1].position}
        )

    # Then: it concerns their place and the administrator's, and not ours
    with admin.connect() as connection:
        refused = {each: is_refused(connection, place) for each, place in places.items()}
    assert refused == {ours: False, theirs: True, admin: True}
    with ours.connect() as connection:
        require_place(connection, places[ours])


def test_a_removed_partition_is_not_taken_for_another_log(engine: Engine) -> None:
    """A place whose first events are archived is compared by its own event."""
    # Given: a place whose digest begins in one partition and ends in the next
    append_and_commit(engine, small_event())
    with engine.begin() as connection:
        connection.execute(text("SELECT setval('event_logs_id_seq', 9999990)"))
    old = append_and_commit(engine, *(small_event() for _ in range(5)))
    with engine.begin() as connection:
        connection.execute(text("SELECT setval('event_logs_id_seq', 10000010)"))
    new = append_and_commit(engine, *(small_event() for _ in range(5)))
    with engine.connect() as connection:
        archived = place_at(connection, old[-1].position)
        place, last = (place_at(connection, new[n].position) for n in (2, 4))

    # When: the first one is archived
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE event_logs DETACH PARTITION event_logs_p000000000000001")
        )

    # Then: reading goes on after what is stored, and not where it would pass over events
    assert next(subscribe(engine, after=place)).event_id == new[3].event_id
    with engine.connect() as connection:
        assert not is_refused(connection, last)
        assert is_refused(connection, archived)
        assert is_refused(connection, Place(last.position, uuid4(), last.digest))


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "4711:",
        "4711:x",
        "4711::",
        f"4711:{UUID(int=1)}:",
        f"4711:{UUID(int=1)}:all-1",
        f"4711:{UUID(int=1)}:some-4000-0123456789abcdef",
        f"4711:{UUID(int=1)}:all-4712-0123456789abcdef",
        f"{SPAN + 1}:{UUID(int=1)}:all-1-0123456789abcdef",
        f"4711:{UUID(int=1)}:all-4000-0123456789abcdef:1",
        f"{'9' * 19}",
    ],
)
def test_what_is_not_a_place_is_refused_with_what_to_write(written: str) -> None:
    """One message for every mistake."""
    with pytest.raises(ValueError, match="write 4711, 4711:EVENT_ID or"):
        Place.parse(written)


@pytest.mark.parametrize(
    "written",
    ["0", "4711", f"4711:{UUID(int=1)}", f"4711:{UUID(int=1)}:tenant-4000-0123456789abcdef"],
)
def test_a_place_is_written_as_it_is_read(written: str) -> None:
    """Those of older exports, too."""
    assert str(Place.parse(written)) == written
