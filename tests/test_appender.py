"""Appending over a kept connection: what `append` promises, in one round trip."""

import pytest
from sqlalchemy import Engine, text

from eventstore.appender import Appender
from eventstore.envelope import MUST_NOT_EXIST
from eventstore.errors import EventRefused, OtherTenant, VersionConflict
from tests.appending import OTHER_TENANT, TENANT, positions_in_log, small_event


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


def test_an_appender_acts_for_its_tenant_in_each_statement_only(engine: Engine) -> None:
    """The setting does not outlive the call."""
    with Appender(engine, tenant_id=TENANT) as appender:
        # When: it appends for its tenant
        appender.append([small_event(tenant_id=TENANT)])

        # Then: nothing is left in the session for whom a pooler gives it to
        assert appender._cursor is not None
        row = appender._cursor.execute(
            "SELECT coalesce(current_setting('qforge.tenant_id', true), '')"
        ).fetchone()
        assert row == ("",)


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
