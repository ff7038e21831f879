"""Appending over a kept connection: what `append` promises, in one round trip."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import MUST_NOT_EXIST
from quantum_forge.eventstore.base.errors import (
    EventIdReused,
    EventRefused,
    OtherTenant,
    VersionConflict,
)
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.appender import Appender
from tests.support.appending import (
    OTHER_TENANT,
    TENANT,
    heads_disagreeing_with_the_log,
    positions_in_log,
    small_event,
)
from tests.support.campaigns import until


def test_each_append_is_committed_when_it_returns(engine: Engine) -> None:
    """Another connection sees it, before the appender is closed."""
    # Given: an appender
    with Appender(engine) as appender:
        # When: it appends one event, and two at once
        placed = appender.append([small_event()])
        placed += appender.append([small_event(), small_event()])

        # Then: they are in the log for others
        with engine.connect() as connection:
            assert [one.position for one in placed] == positions_in_log(connection)
        assert all(one.appended for one in placed)


def test_a_refused_append_leaves_the_appender_usable(engine: Engine) -> None:
    """Both kinds of refusal come as errors of ours, and neither costs the connection."""
    with Appender(engine) as appender:
        # Given: a stream
        event = small_event(expected_version=MUST_NOT_EXIST)
        appender.append([event])

        # When: an append expects it not to be there
        with pytest.raises(VersionConflict) as caught:
            appender.append([small_event(event.entity_id, expected_version=MUST_NOT_EXIST)])

        # Then: the error says what is there, and the next append goes on
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        assert appender.append([small_event(event.entity_id)])[0].version == 2
        with pytest.raises(EventRefused):
            appender.append([small_event(number=-1)])
        assert appender.append([small_event(event.entity_id)])[0].version == 3


def test_a_lost_connection_is_replaced_and_nothing_is_appended_twice(engine: Engine) -> None:
    """The server ends the connection between two appends; the caller does not notice."""
    with Appender(engine) as appender:
        # Given: an appender whose connection the server has ended
        first = small_event()
        appender.append([first])
        with engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

        # When: it repeats an append, and makes another
        again, new = appender.append([first, small_event()])

        # Then: the repeated one is there once
        assert not again.appended
        assert new.appended
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == 2


def test_the_pool_gets_no_connection_that_commits_by_itself(engine: Engine) -> None:
    """What is taken from the pool does not come back to it."""
    # Given: an appender that has been used and closed
    with Appender(engine) as appender:
        appender.append([small_event()])

    # When: others begin transactions and do not commit
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE left_behind ()"))

    # Then: they are rolled back
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('left_behind')")) is None


def test_an_appender_behind_a_pooler_acts_for_its_tenant_in_each_statement_only(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting does not outlive the call."""
    monkeypatch.setattr("quantum_forge.eventstore.log.appender.is_direct", lambda _: False)
    with Appender(engine, tenant_id=TENANT) as appender:
        # When: it appends for its tenant
        appender.append([small_event(tenant_id=TENANT)])

        # Then: nothing is left in the session for whom a pooler gives it to
        assert appender._cursor is not None
        appender._cursor.execute(
            "SELECT coalesce(current_setting('qforge.tenant_id', true), '') AS tenant"
        )
        assert list(map(tuple, appender._cursor.fetchall())) == [("",)]


def test_a_limit_is_set_once_for_the_session_and_ends_with_the_next_call(engine: Engine) -> None:
    """Each call is one statement; a call without a limit has none of an earlier call.

    So is the tenant, which stays: the session is of this appender alone.
    """
    with Appender(engine, tenant_id=TENANT) as appender:
        appender.append([small_event(tenant_id=TENANT)])
        cursor = appender._cursor
        assert cursor is not None

        def limits() -> list[str]:
            cursor.execute(
                "SELECT '', current_setting(name), 0, false FROM unnest(ARRAY['statement_timeout',"
                " 'lock_timeout', 'qforge.tenant_id']) WITH ORDINALITY AS n (name, at) ORDER BY at"
            )
            return [str(row[1]) for row in cursor.fetchall()]

        before = limits()
        for seconds, expected in ((2.0, ["2s", "1500ms"]), (4, ["4s", "3s"])):
            appender.append([small_event(tenant_id=TENANT)], seconds=seconds)
            assert limits() == [*expected, str(TENANT)]
        appender.append([small_event(tenant_id=TENANT)])
        assert limits() == before


def test_a_member_of_the_appenders_may_append_for_its_tenant_only(engine: Engine) -> None:
    """The tenant of the appender is the one that the database checks."""
    # Given: an appender whose role may do nothing but append
    with Appender(engine, tenant_id=TENANT) as appender:
        appender.append([small_event()])
        assert appender._cursor is not None
        appender._cursor.execute("SET ROLE qforge_appender")

        # When, then: its own tenant's event is taken, another's refused
        assert appender.append([small_event(tenant_id=TENANT)])[0].appended
        with pytest.raises(OtherTenant):
            appender.append([small_event(tenant_id=OTHER_TENANT)])


def test_appends_sent_together_each_get_their_own_answer(engine: Engine) -> None:
    """A thread's append succeeds or fails as it would alone, whatever goes with it."""
    taken, free = small_event(), small_event()
    with Appender(engine) as appender, ThreadPoolExecutor(8) as pool:
        appender.append([taken])
        stale = small_event(taken.entity_id, expected_version=MUST_NOT_EXIST)
        wrong_id = small_event(taken.entity_id, number=7, event_id=taken.event_id)

        # Given: an append that waits for a transaction on its stream, and others behind it
        with engine.begin() as connection:
            append(connection, [free])
            held = pool.submit(appender.append, [small_event(free.entity_id)])
            until(lambda: appender._together._is_led, "an append is on its way")
            together = []
            for events in ([stale], [small_event()], [small_event(), small_event()], [wrong_id]):
                together.append(pool.submit(appender.append, events))
            until(lambda: len(appender._together._waiting) == 4, "4 wait")

        # When, then: it is done, each gets its own positions or its own error
        assert held.result(30)[0].version == 2
        with pytest.raises(VersionConflict) as caught:
            together[0].result(30)
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        assert [placed.version for placed in together[1].result(30)] == [1]
        assert [placed.version for placed in together[2].result(30)] == [1, 1]
        with pytest.raises(EventIdReused):
            together[3].result(30)
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == 6
        assert heads_disagreeing_with_the_log(connection) == []


def test_appends_that_wait_are_sent_as_one_transaction(engine: Engine) -> None:
    """Which is what makes threads that share an appender fast."""
    free = small_event()
    with Appender(engine) as appender, ThreadPoolExecutor(16) as pool:
        # Given: an append that waits, and fifteen behind it, two of them of one stream
        with engine.begin() as connection:
            append(connection, [free])
            held = pool.submit(appender.append, [small_event(free.entity_id)])
            until(lambda: appender._together._is_led, "an append is on its way")
            news = [small_event() for _ in range(14)]
            news.append(small_event(news[0].entity_id))
            placed = [pool.submit(appender.append, [event]) for event in news]
            until(lambda: len(appender._together._waiting) == 15, "15 wait")

        # When: it is done
        held.result(30)

        # Then: the others come in one transaction, but for the second of one stream
        assert [one.event_id for each in placed for one in each.result(30)] == [
            event.event_id for event in news
        ]
    with engine.connect() as connection:
        counts = connection.scalars(
            text("SELECT count(*) FROM event_logs GROUP BY xmin::text ORDER BY 1")
        )
        assert list(counts) == [1, 1, 1, 14]


def test_many_threads_append_to_few_streams_without_a_hole(engine: Engine) -> None:
    """Versions stay dense, and of those who expect one version a single one wins."""
    streams = [small_event().entity_id for _ in range(3)]

    def write(number: int) -> int:
        won = 0
        for step in range(20):
            expected = None if step % 2 else step // 2 + 1
            try:
                appender.append(
                    [small_event(streams[(number + step) % 3], expected_version=expected)]
                )
            except VersionConflict:
                continue
            won += 1
        return won

    with Appender(engine) as appender, ThreadPoolExecutor(8) as pool:
        won = sum(pool.map(write, range(8)))
    with engine.connect() as connection:
        assert len(positions_in_log(connection)) == won >= 80
        assert heads_disagreeing_with_the_log(connection) == []
