"""What the server refuses for a while ends no follower; what it refuses for good does, clearly."""

import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.errors import (
    CancelledByReplay,
    ConnectionLost,
    DatabaseNotReady,
    DatabaseRefused,
    DatabaseUnavailable,
    DatabaseUnreachable,
    NotAllowed,
    UnknownDatabase,
)
from quantum_forge.eventstore.database.availability.outage import (
    PASSING_STATES,
    Patience,
    passes,
    reason_of,
)
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.projections.history.difference import difference
from quantum_forge.projections.history.verify import VerificationEnded, verify
from quantum_forge.projections.project.folding import FoldFailed
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import MAJOR
from tests.support.appending import append_and_commit
from tests.support.projecting import BATCH_JOBS, assert_projected, history, wait_until_projected
from tests.support.refusals import END_OTHERS, Fault, configured, raising

STATES = sorted({*PASSING_STATES, "08000", "08006", "53100", "53200", "53300"})
REAL: dict[str, Fault] = {
    "statement_timeout": configured("statement_timeout = '1ms'", locked="projection_checkpoints"),
    "lock_timeout": configured("lock_timeout = '10ms'", locked="projection_checkpoints"),
    "read-only": configured("default_transaction_read_only = on"),
    **(
        {"transaction_timeout": configured("transaction_timeout = '1ms'", locked="event_streams")}
        if MAJOR >= 17
        else {}
    ),
}


def until(condition: Callable[[], object]) -> None:
    """Wait for what takes no time that a person would notice."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_passing_refusal_ends_a_subscriber_or_a_projector(engine: Engine) -> None:
    """Both wait, say so, and go on with what was appended meanwhile."""
    positions: list[int] = []
    stop = threading.Event()
    told: list[Exception | None] = []

    def follow() -> None:
        for event in subscribe(engine, stop=stop, on_trouble=told.append):
            positions.append(event.position)

    subscriber = threading.Thread(target=follow)
    troubles: list[Exception | None] = []
    with BackgroundProjector(engine, on_trouble=troubles.append) as projector:
        # Given: both follow the log
        append_and_commit(engine, *history(3))
        subscriber.start()
        wait_until_projected(engine)
        until(lambda: len(positions) == 3)

        for number, state in enumerate(STATES, start=1):
            # When: the server refuses for a while
            troubles.clear()
            told.clear()
            with raising(state)(engine):
                until(lambda: troubles and told)
                append_and_commit(engine, *history(2))

            # Then: both go on where they were, and say so
            wait_until_projected(engine)
            until(lambda number=number: len(positions) == 3 + 2 * number)  # type: ignore[misc]
            until(lambda: troubles[-1] is None and told[-1] is None)
            assert projector.is_running, state
            # A look at the log that needed nothing that is refused may succeed in between.
            assert [each for each in troubles[1::2] if each is not None] == [], state
    stop.set()
    subscriber.join(30)
    assert positions == sorted(set(positions))
    assert_projected(engine)


@pytest.mark.parametrize("name", REAL)
def test_no_real_fault_ends_a_projector(engine: Engine, name: str) -> None:
    """A lock that somebody holds, a database that is read-only for a while, a timeout."""
    troubles: list[Exception | None] = []
    with BackgroundProjector(engine, on_trouble=troubles.append) as projector:
        append_and_commit(engine, *history(3))
        wait_until_projected(engine)
        append_and_commit(engine, *history(2))
        with REAL[name](engine):
            until(lambda: any(each is not None for each in troubles))
            time.sleep(0.3)
            assert projector.is_running
        append_and_commit(engine, *history(2))
        wait_until_projected(engine)
    assert_projected(engine)


def test_a_storm_of_cancels_and_kills_ends_nobody(engine: Engine) -> None:
    """An administrator who ends every session again and again stops nothing for good."""
    cancel = text(str(END_OTHERS.text).replace("pg_terminate_backend", "pg_cancel_backend"))
    positions: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        for event in subscribe(engine, stop=stop):
            positions.append(event.position)

    subscriber = threading.Thread(target=follow)
    subscriber.start()
    with BackgroundProjector(engine):
        for number in range(40):
            with engine.begin() as connection:
                connection.execute(END_OTHERS if number % 4 == 0 else cancel)
            if number % 10 == 0:
                Patience().persist(lambda: append_and_commit(engine, *history(2)))
            time.sleep(0.01)
        wait_until_projected(engine)
        until(lambda: len(positions) >= 8)
    stop.set()
    subscriber.join(30)
    assert positions == sorted(set(positions))
    assert_projected(engine)


@pytest.mark.parametrize("state", ["42P01", "42501", "42883", "XX001", "28000"])
def test_what_does_not_pass_ends_a_follower_with_its_reason(engine: Engine, state: str) -> None:
    """Nobody waits for a table that is not there."""
    with raising(state)(engine):
        with pytest.raises((DBAPIError, NotAllowed), match="for a while"):
            next(subscribe(engine))
        projector = BackgroundProjector(engine)
        projector.start()
        until(lambda: not projector.is_running)
        with pytest.raises((DBAPIError, NotAllowed), match="for a while"):
            projector.stop()


def test_a_wrong_address_or_password_does_not_pass_and_a_silent_address_does(
    engine: Engine,
) -> None:
    """Only what may change by itself is worth another attempt."""
    nowhere = make_engine(engine.url.set(database="nowhere"))
    with pytest.raises(UnknownDatabase) as unknown:
        nowhere.connect()
    assert not passes(unknown.value)
    assert not passes(DatabaseRefused("there", "refused", "correct it"))
    away = make_engine(engine.url.set(host="127.0.0.1", port=1).difference_update_query(["host"]))
    with pytest.raises(DatabaseUnavailable) as unreachable:
        away.connect()
    assert passes(unreachable.value)
    assert passes(psycopg.OperationalError("the connection is lost"))
    assert not passes(ValueError("none of ours"))


def test_advice_to_repeat_is_for_who_has_stopped() -> None:
    """Who goes on says what is in the way, and what a person can do about it."""
    lost = ConnectionLost("here", "the connection to here was lost", "run the command again")
    starting = DatabaseNotReady("here", "the server is starting", "try again in a moment")
    away = DatabaseUnreachable("here", "no connection to here", "start the server")
    cancelled = CancelledByReplay()

    assert "run the command again" in str(lost)
    assert reason_of(lost) == "the connection to here was lost"
    assert reason_of(starting) == "the server is starting"
    assert reason_of(away) == "no connection to here; start the server"
    assert "run it again" in str(cancelled)
    assert "run it again" not in reason_of(cancelled)


def test_patience_ends_with_the_error_itself() -> None:
    """After so many seconds without a success; a success begins them anew."""
    told: list[Exception | None] = []
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise psycopg.OperationalError(f"lost {attempts // 3}")

    patience = Patience(0.5, on_trouble=told.append)
    with pytest.raises(psycopg.OperationalError, match="lost"):
        patience.persist(attempt)
    assert attempts > 3
    assert [str(each) for each in told] == [f"lost {n}" for n in range(len(told))]
    assert patience.persist(lambda: 7) == 7
    assert told[-1] is None


def test_a_comparison_that_is_cancelled_is_tried_again_and_then_told_as_what_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel is no event that cannot be folded."""
    # Given: a table that is up to date, and a comparison that the server ends once
    append_and_commit(engine, *history(3))
    catch_up(engine, PROJECTIONS.values())
    calls = 0
    compare = difference

    def ended_once(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1 or always:
            arguments[0].execute(text("SET LOCAL statement_timeout = '1ms'"))  # type: ignore[attr-defined]
            arguments[0].execute(text("SELECT pg_sleep(1)"))  # type: ignore[attr-defined]
        return compare(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("quantum_forge.projections.history.verify.difference", ended_once)

    # When, then: it is tried again
    always = False
    assert verify(engine, BATCH_JOBS).agrees
    assert calls == 2

    # When, then: the server ends it every time, and it is no failed fold
    always = True
    with pytest.raises(VerificationEnded, match=r"was not verified.*statement timeout") as ended:
        verify(engine, BATCH_JOBS)
    assert not isinstance(ended.value, FoldFailed)
