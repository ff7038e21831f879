"""After a failover to a standby that was behind, a reader learns that the log is another one."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.envelope import Placed, RecordedEvent
from quantum_forge.eventstore.database.engine import libpq_url, make_engine
from quantum_forge.eventstore.files.export import export_events
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.place import (
    BeyondHead,
    LogDiverged,
    Place,
    place_at,
    require_event,
    require_place,
)
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.server.embedded import PORT, EmbeddedServer
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.checkpoint import CheckpointDiverged, read_checkpoints
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import command_line
from tests.support.appending import TENANT, append_and_commit, small_event
from tests.support.chemical_history import record
from tests.support.killable import Killable, killable
from tests.support.standby import standby, wait_for_replay
from tests.support.training_set import bad, good

__all__ = ["killable"]

AUTHOR = Author(tenant_id=TENANT, user_id=uuid4())
COMMON = 5
"""Events that the standby has."""


class Pair:
    """A primary with an asynchronous standby, and an engine that goes where the primary is."""

    def __init__(self, primary: Killable, replica: EmbeddedServer) -> None:
        self.primary = primary
        self.replica = replica
        hosts = f"{primary.server.socket_directory},{replica.socket_directory}"
        both = {"host": hosts, "port": f"{PORT},{PORT}", "target_session_attrs": "read-write"}
        self.engine = make_engine(primary.server.url().update_query_dict(both))

    def cut_off(self) -> None:
        """Let the standby receive nothing any more."""
        replica = make_engine(self.replica.url())
        with replica.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wait_for_replay(self.primary.engine, replica)
            connection.execute(text("ALTER SYSTEM SET primary_conninfo = ''"))
            connection.execute(text("SELECT pg_reload_conf()"))
            receiving = text("SELECT count(*) FROM pg_stat_wal_receiver")
            while connection.execute(receiving).scalar_one():
                time.sleep(0.02)
        replica.dispose()

    def fail_over(self) -> Engine:
        """Kill the primary, and let the standby be one; return an engine for it."""
        self.primary.kill()
        promoted = make_engine(self.replica.url())
        with promoted.connect() as connection:
            assert connection.execute(text("SELECT pg_promote()")).scalar_one()
        return promoted


@pytest.fixture
def pair(killable: Killable, bin_directory: Path) -> Iterator[Pair]:
    """Return a primary and a standby that both have the first events."""
    append_and_commit(killable.engine, *(small_event(number=n) for n in range(COMMON)))
    with standby(killable.server, bin_directory) as replica:
        pair = Pair(killable, replica)
        yield pair
        pair.engine.dispose()


def appended_side_by_side(engine: Engine, cut_off: Callable[[], None]) -> tuple[Placed, Placed]:
    """Append two events; the higher one is committed, then `cut_off` is called, then the other."""
    with engine.begin() as slow:
        (lower,) = append(slow, [small_event(number=50)])
        (higher,) = append_and_commit(engine, small_event(number=51))
        cut_off()
    assert lower.position < higher.position
    return lower, higher


def followed(engine: Engine, after: int | Place, until: int) -> list[RecordedEvent]:
    """What a subscriber passes on, up to the event with this number."""
    found = []
    for each in subscribe(engine, after=after):
        found.append(each)
        if each.data["total_count"] == until:
            return found
    return found


def test_a_subscriber_learns_that_what_it_passed_on_is_lost(pair: Pair) -> None:
    """It ends with the position, before it passes over an event at a position that it knows."""
    # Given: a subscriber that has passed on events which the standby never received
    pair.cut_off()
    passed: list[RecordedEvent] = []

    def follow() -> None:
        for each in subscribe(pair.engine):
            passed.append(each)

    with ThreadPoolExecutor(1) as threads:
        following: Future[None] = threads.submit(follow)
        lost = append_and_commit(pair.primary.engine, *(small_event(number=n) for n in range(9)))
        while len(passed) < COMMON + len(lost):
            time.sleep(0.02)

        # When: the standby takes over, and appends of its own have the same positions
        promoted = pair.fail_over()
        append_and_commit(promoted, *(small_event(number=100 + n) for n in range(60)))

        # Then: none of them was passed on, and the error names the position
        with pytest.raises(LogDiverged) as caught:
            following.result(60)
    assert lost[0].position <= caught.value.position <= lost[-1].position
    assert f"at position {caught.value.position}" in str(caught.value)
    assert len(passed) == COMMON + len(lost)

    # And: whoever comes back with a place of before learns it, whoever has a common one goes on
    with pytest.raises(LogDiverged):
        next(subscribe(promoted, after=Place(passed[-1].position, passed[-1].event_id)))
    common = Place(passed[COMMON - 1].position, passed[COMMON - 1].event_id)
    assert len(followed(promoted, common, until=159)) == 60
    promoted.dispose()


def test_a_subscriber_whose_events_are_all_there_goes_on(pair: Pair) -> None:
    """A failover that loses nothing of it is no error."""
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(followed, pair.engine, 0, 100)
        time.sleep(0.5)
        pair.cut_off()

        promoted = pair.fail_over()
        append_and_commit(promoted, small_event(number=100))

        numbers = [each.data["total_count"] for each in following.result(60)]
    assert numbers == [*range(COMMON), 100]
    promoted.dispose()


def test_an_export_goes_on_in_the_same_log_only(pair: Pair, tmp_path: Path) -> None:
    """From Python and from the command line; the error names the position."""
    pair.cut_off()
    append_and_commit(pair.primary.engine, *(small_event(number=n) for n in range(3)))
    before = export_events(pair.engine, tmp_path / "before.jsonl", AUTHOR)
    qforge = command_line(tmp_path, DATABASE_URL=libpq_url(pair.replica.url()))

    promoted = pair.fail_over()
    append_and_commit(promoted, *(small_event(number=n) for n in range(60)))

    with pytest.raises(LogDiverged, match=f"position {before.place.position}"):
        export_events(promoted, tmp_path / "after.jsonl", AUTHOR, after=before.place)
    said = qforge("events", "export", "after.jsonl", "--after", str(before.place), status=2).stderr
    assert f"at position {before.place.position}" in said
    assert not (tmp_path / "after.jsonl").exists()
    promoted.dispose()


def test_whoever_begins_again_learns_that_an_event_before_the_last_one_is_lost(
    pair: Pair, tmp_path: Path
) -> None:
    """The last event was replicated; one below it, which was committed later, was not."""
    # Given: an export of both, a subscriber's place, and projections of both
    record(pair.primary.engine, *good())
    lower, higher = appended_side_by_side(pair.primary.engine, pair.cut_off)
    before = export_events(pair.engine, tmp_path / "before.jsonl", AUTHOR, upto=higher.position)
    assert before.place.event_id == higher.event_id
    with pair.engine.connect() as connection:
        place = place_at(connection, higher.position)
        common = place_at(connection, lower.position - 1)
    catch_up(pair.primary.engine, PROJECTIONS.values())
    qforge = command_line(tmp_path, DATABASE_URL=libpq_url(pair.replica.url()))

    # When: the standby takes over
    promoted = pair.fail_over()
    append_and_commit(promoted, *(small_event(number=100 + n) for n in range(60)))

    # Then: whatever holds a place learns it, although the event of the place is there
    first = f"from position {lower.position - len(good()) - COMMON}"
    with promoted.connect() as connection:
        require_event(connection, place)
        with pytest.raises(LogDiverged, match=first) as caught:
            require_place(connection, place)
    assert (caught.value.seen, caught.value.found) == (higher.event_id, higher.event_id)
    with pytest.raises(LogDiverged, match=first):
        next(subscribe(promoted, after=place))
    with pytest.raises(LogDiverged, match=first):
        export_events(promoted, tmp_path / "after.jsonl", AUTHOR, after=before.place)
    said = qforge("events", "export", "after.jsonl", "--after", str(before.place), status=2).stderr
    assert first in said
    assert not (tmp_path / "after.jsonl").exists()

    # And: what was lost does not concern a place before it, or a projection
    assert len(followed(promoted, common, until=159)) == 61
    catch_up(promoted, PROJECTIONS.values())
    assert verify(promoted, PROJECTIONS["calculations"]).agrees
    assert verify(promoted, PROJECTIONS["batch_jobs"]).agrees

    # And: an older place goes on with what it can check, and the export says so
    only_id = f"{higher.position}:{higher.event_id}"
    said = qforge("events", "export", "id.jsonl", "--after", only_id).stderr
    assert "only the last event of the previous export was compared" in said
    said = qforge("events", "export", "bare.jsonl", "--after", str(higher.position)).stderr
    assert "not checked that the previous export is of this log" in said
    promoted.dispose()


def test_a_subscriber_that_has_passed_nothing_on_compares_its_place_again(pair: Pair) -> None:
    """After a new connection, what lies before its place counts as at the start."""
    _, higher = appended_side_by_side(pair.primary.engine, pair.cut_off)
    with pair.engine.connect() as connection:
        place = place_at(connection, higher.position)
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(followed, pair.engine, place, 100)
        time.sleep(0.5)
        promoted = pair.fail_over()
        append_and_commit(promoted, small_event(number=100))
        with pytest.raises(LogDiverged):
            following.result(60)
    promoted.dispose()


def test_a_position_beyond_the_head_is_refused_everywhere(engine: Engine, tmp_path: Path) -> None:
    """The error names the head; nothing claims to be complete."""
    append_and_commit(engine, *(small_event() for _ in range(4)))
    with engine.connect() as connection:
        head = safe_head(connection)

    refusals = (
        (5_000, BeyondHead, f"from 0 to {head}"),
        (Place.parse(f"5000:{uuid4()}"), LogDiverged, f"ends at {head}"),
    )
    for after, refusal, told in refusals:
        with pytest.raises(refusal, match=told):
            next(subscribe(engine, after=after))
        with pytest.raises(refusal, match=told):
            export_events(engine, tmp_path / "log.jsonl", AUTHOR, after=after)
    with pytest.raises(BeyondHead, match=f"from 0 to {head}"):
        export_events(engine, tmp_path / "log.jsonl", AUTHOR, upto=5_000)
    assert not list(tmp_path.iterdir())


def test_projections_go_on_after_a_failover(pair: Pair) -> None:
    """Their checkpoints are replicated with the events: no table has an event that is lost."""
    record(pair.primary.engine, *good())
    catch_up(pair.primary.engine, PROJECTIONS.values())
    pair.cut_off()
    record(pair.primary.engine, *bad())
    catch_up(pair.primary.engine, PROJECTIONS.values())

    promoted = pair.fail_over()
    append_and_commit(promoted, *(small_event(number=n) for n in range(60)))

    assert catch_up(promoted, PROJECTIONS.values()) > 0
    for projection in (PROJECTIONS["calculations"], PROJECTIONS["batch_jobs"]):
        assert verify(promoted, projection).agrees
    promoted.dispose()


def test_a_table_from_another_log_is_not_folded_on(engine: Engine) -> None:
    """The checkpoint's event is not the log's: a rebuild is asked for, the others go on."""
    record(engine, *good())
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE projection_checkpoints SET event_id = gen_random_uuid()"
                " WHERE projection = 'molecules'"
            )
        )
    record(engine, *bad())

    with pytest.raises(CheckpointDiverged, match="run `qforge rebuild molecules`"):
        catch_up(engine, PROJECTIONS.values())
    with engine.connect() as connection:
        checkpoints, head = read_checkpoints(connection), safe_head(connection)
    assert {n for n, each in checkpoints.items() if each.position < head} == {"molecules"}

    rebuild(engine, PROJECTIONS["molecules"])
    catch_up(engine, PROJECTIONS.values())
    assert verify(engine, PROJECTIONS["molecules"]).agrees
