"""A drain brings every append into the log once, in order, or keeps it with a reason."""

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.database.engine import Database
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.spool.directory import segment_paths
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.segment_drain import rejections
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.schema.domains.batches import BatchResumed
from tests.conftest import Qforge
from tests.support.appending import (
    append_and_commit,
    heads_disagreeing_with_the_log,
    small_event,
)
from tests.support.spooling import DRAIN, NOBODY, RECORD, chain, ended, program, spooled

KILLS = pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])


def ids_in_log(engine: Engine, stream: UUID) -> list[UUID]:
    """The events of a stream, in order."""
    query = text("SELECT event_id FROM event_logs WHERE entity_id = :id ORDER BY id")
    with engine.connect() as connection:
        assert heads_disagreeing_with_the_log(connection) == []
        return list(connection.scalars(query, {"id": stream}))


def test_what_was_spooled_is_in_the_log_in_order_and_the_spool_is_empty(
    engine: Engine, tmp_path: Path
) -> None:
    """Across segments, too; each append is one transaction."""
    stream = uuid4()
    events = chain(stream, 6)
    together = [small_event(stream, number, expected_version=6) for number in range(3)]
    spooled(tmp_path, *events)
    spooled(tmp_path, together)

    drained = drain(tmp_path, engine)

    assert (drained.appends, drained.events) == (7, 9)
    assert ids_in_log(engine, stream) == [event.event_id for event in events + together]
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_log_already_is_not_appended_again(engine: Engine, tmp_path: Path) -> None:
    """An append whose answer was lost is spooled, and may have arrived."""
    stream = uuid4()
    events = chain(stream, 3)
    append_and_commit(engine, events[0])
    spooled(tmp_path, *events)

    drained = drain(tmp_path, engine)

    assert drained.rejected == []
    assert ids_in_log(engine, stream) == [event.event_id for event in events]


def test_a_conflict_is_kept_with_its_reason_and_the_rest_goes_on(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """Somebody recorded a calculation as lost whose completion was in the spool."""
    spool = tmp_path / "home" / "spool"
    stream, other = uuid4(), uuid4()
    append_and_commit(engine, small_event(stream))
    late = small_event(stream, expected_version=1)
    append_and_commit(engine, small_event(stream, expected_version=1))
    spooled(spool, late, small_event(other))

    said = qforge_here("spool", "drain", status=1)

    assert f"batch {stream} was expected at version 1 but is at version 2" in said.stderr
    assert len(ids_in_log(engine, other)) == 1
    assert segment_paths(spool) == []
    shown = json.loads(qforge_here("spool", "status", "--json", status=1).stdout)
    (rejected,) = shown["rejected"]
    assert rejected["error"] == "VersionConflict"
    (kept,) = rejections(Path(rejected["path"]))
    assert str(late.event_id) in bytes(kept.events).decode()

    assert "0 events from the spool" in qforge_here("spool", "drain").stderr


def test_what_follows_a_rejected_append_is_rejected_too(engine: Engine, tmp_path: Path) -> None:
    """Its version fits what somebody else began: it would end the wrong attempt."""
    stream = uuid4()
    spooled(tmp_path, *chain(stream, 3), small_event(stream))
    append_and_commit(engine, small_event(stream, 7, expected_version=0))

    drained = drain(tmp_path, engine)

    assert len(drained.rejected) == 3
    assert drained.appends == 1, "what expects no version depends on nothing"
    assert len(ids_in_log(engine, stream)) == 2


def test_a_reused_id_and_a_refused_event_are_rejected(engine: Engine, tmp_path: Path) -> None:
    """What the database will refuse for ever blocks nobody."""
    first = small_event()
    append_and_commit(engine, first)
    reused = small_event(first.entity_id, 9, event_id=first.event_id)
    path = spooled(tmp_path, reused)
    wire = path.read_bytes()[16:]
    broken = json.loads(wire)
    broken[0] |= {"data": "no object", "event_id": str(uuid4())}
    segment = Segment.create(tmp_path)
    segment.append(json.dumps(broken).encode())
    segment.close()
    spooled(tmp_path, small_event())

    drained = drain(tmp_path, engine)

    state = spool_state(tmp_path)
    assert [each.error for each in state.rejected] == ["EventIdReused", "EventRefused"]
    assert drained.appends == 1


def test_a_torn_end_is_kept_and_reported_and_everything_before_it_is_drained(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """The bytes are worth looking at: who wrote them never got an answer."""
    spool = tmp_path / "home" / "spool"
    stream = uuid4()
    path = spooled(spool, *chain(stream, 3))
    end = path.stat().st_size
    os.truncate(path, end - 5)

    said = qforge_here("spool", "drain", status=1)

    assert len(ids_in_log(engine, stream)) == 2
    (kept,) = spool_state(spool).kept
    assert Path(kept.path).name.startswith(f"{path.name}.torn-")
    assert kept.path in said.stderr
    assert kept.bytes == pytest.approx(end / 3 - 5, abs=2)
    assert segment_paths(spool) == []

    qforge_here("spool", "status", status=1)
    Path(kept.path).unlink()
    qforge_here("spool", "status")


def test_damage_in_the_middle_stops_its_segment_until_told_otherwise(
    engine: Engine, tmp_path: Path, qforge_here: Qforge
) -> None:
    """Nothing is left out behind anybody's back, and other segments go on."""
    spool = tmp_path / "home" / "spool"
    before, hit, after, elsewhere = (small_event() for _ in range(4))
    path = spooled(spool, before, hit, after)
    spooled(spool, elsewhere)
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third + 40] ^= 0xFF
    path.write_bytes(content)

    said = qforge_here("spool", "drain", status=1)

    assert f"{path} is damaged at byte" in said.stderr
    assert "qforge spool drain --past-damage" in said.stderr
    assert [len(ids_in_log(engine, e.entity_id)) for e in (before, after, elsewhere)] == [1, 0, 1]
    assert f"{path} is damaged at byte" in qforge_here("spool", "status", status=1).stderr

    qforge_here("spool", "drain", "--past-damage", status=1)

    assert [len(ids_in_log(engine, e.entity_id)) for e in (before, hit, after)] == [1, 0, 1]
    (kept,) = spool_state(spool).kept
    assert ".damaged-" in kept.path
    assert segment_paths(spool) == []


def test_a_drain_leaves_the_segment_of_a_living_process_alone(
    database: Database, tmp_path: Path
) -> None:
    """Only its writer knows where it ends."""
    recording = program(RECORD, NOBODY, tmp_path, str(uuid4()))
    assert recording.stdout is not None
    recording.stdout.readline()
    try:
        drained = drain(tmp_path, database.engine)
    finally:
        recording.kill()
        ended(recording)

    assert len(drained.busy) == 1
    assert drained.events == 0
    assert drain(tmp_path, database.engine).events > 0


@KILLS
def test_a_recorder_killed_at_any_instant_has_recorded_what_it_acknowledged(
    engine: Engine, tmp_path: Path, kills: int
) -> None:
    """Kill -9: each acknowledged event is in the log once, in order; one more may be."""
    chance = random.Random(11)
    running = []
    for _ in range(kills):
        stream = uuid4()
        running.append((stream, program(RECORD, NOBODY, tmp_path, str(stream))))
    acknowledged = {}
    for stream, recording in running:
        assert recording.stdout is not None
        first = recording.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        recording.kill()
        acknowledged[stream] = [UUID(line) for line in (first + ended(recording)).split()]

    drained = drain(tmp_path, engine)

    assert drained.rejected == []
    for stream, ids in acknowledged.items():
        found = ids_in_log(engine, stream)
        assert found[: len(ids)] == ids
        assert len(found) <= len(ids) + 1


@KILLS
def test_a_drain_killed_at_any_instant_and_repeated_leaves_each_event_once(
    database: Database, tmp_path: Path, kills: int
) -> None:
    """Also what it rejects is kept once."""
    chance = random.Random(7)
    streams = [uuid4() for _ in range(30)]
    taken = uuid4()
    append_and_commit(database.engine, small_event(taken))
    for stream in streams:
        spooled(tmp_path, *chain(stream, 20), small_event(taken, expected_version=0))
    for kill in range(kills):
        draining = program(DRAIN, database.url, tmp_path)
        assert draining.stdout is not None
        draining.stdout.readline()
        if kill % 3:
            assert draining.stdout.readline() == "appended\n"
        time.sleep(chance.uniform(0, 0.1))
        draining.kill()
        ended(draining)

    unfinished = len(segment_paths(tmp_path))
    drained = sum(len(ids_in_log(database.engine, stream)) for stream in streams)
    drain(tmp_path, database.engine)

    assert unfinished, "the kills came before the end"
    assert drained, "the kills came after the beginning"
    assert segment_paths(tmp_path) == []
    for stream in streams:
        assert len(ids_in_log(database.engine, stream)) == 20
    assert len(spool_state(tmp_path).rejected) == 30


def test_several_drains_at_once_share_the_segments(engine: Engine, tmp_path: Path) -> None:
    """Each is drained by one of them."""
    streams = [uuid4() for _ in range(12)]
    for stream in streams:
        spooled(tmp_path, *chain(stream, 5))

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: drain(tmp_path, engine), range(4)))

    assert sum(each.events for each in done) == 60
    assert all(len(ids_in_log(engine, stream)) == 5 for stream in streams)
    assert list(tmp_path.iterdir()) == []


def test_the_format_on_disk_is_what_is_documented(tmp_path: Path) -> None:
    """Another program, or a later version of this one, can read it."""
    stream = uuid4()
    path = spooled(tmp_path, small_event(stream, 3))

    content = path.read_bytes()

    assert content[:4] == b"\xffQF1"
    assert int.from_bytes(content[4:8]) == len(content) - 16
    (event,) = json.loads(content[16:])
    assert event["event_type"] == BatchResumed.event_type
    assert event["entity_id"] == str(stream)
