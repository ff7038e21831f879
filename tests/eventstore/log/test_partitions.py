"""Making partitions holds nobody up and ends nobody, whoever has the log open."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.partitions import (
    DefaultPartitionLarge,
    PartitionsBusy,
    left_ahead,
    list_partitions,
    make_partitions,
)
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.projections.project import projector
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.conftest import Qforge
from tests.support.appending import append_and_commit, small_event
from tests.support.projecting import assert_projected, history, wait_until_projected

WHERE = text("SELECT last_assigned_position()")


def go_to_the_end(engine: Engine) -> None:
    """Let the log have used most of its partitions, so that another one is due."""
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        last = max(p.last_position or 0 for p in list_partitions(connection)) - 100
        connection.execute(text("SELECT setval('event_logs_id_seq', :last)"), {"last": last})
        # Nothing is there to be folded.
        connection.execute(text("UPDATE projection_checkpoints SET position = :at"), {"at": last})


@contextmanager
def reading(engine: Engine) -> Iterator[None]:
    """Somebody has the log open, as a backup or a report does."""
    with engine.connect() as connection:
        connection.execute(text("SELECT count(*) FROM event_logs"))
        yield
        connection.rollback()


class Appender:
    """Appends small events without a pause, each with a stop of its own for slow answers."""

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self.waits: list[float] = []
        self._engine = engine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Appender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._engine.begin() as connection:
                # The server's own limit, not the clock of a busy machine.
                connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                append(connection, [small_event()])
            self.count += 1


def test_a_reader_holds_up_neither_appends_nor_projectors_and_partitions_come_after_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pg_dump for hours ends no projector, and costs appends the short wait of each try."""
    monkeypatch.setattr(projector, "PARTITIONS_PAUSE", 0.2)
    tries = 0
    make = make_partitions

    def counted(engine: Engine) -> list[str]:
        nonlocal tries
        tries += 1
        return make(engine)

    monkeypatch.setattr(projector, "make_partitions", counted)
    # Given: a log that needs a partition, and somebody who has it open
    go_to_the_end(engine)
    with engine.connect() as connection:
        before = len(list_partitions(connection))
    with BackgroundProjector(engine) as background:
        with reading(engine), Appender(engine) as appender:
            until = time.monotonic() + 4
            while time.monotonic() < until:
                time.sleep(0.1)
                append_and_commit(engine, *history(2))
            # Then: it was tried several times, and everybody went on; no append waited for 1 s
            assert tries >= 3
            assert appender.count > 10
            assert background.is_running
            assert background.trouble is None
            with engine.connect() as connection:
                assert len(list_partitions(connection)) == before

        # When: the reader has ended
        deadline = time.monotonic() + 60
        made = before
        while made == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            with engine.connect() as connection:
                made = len(list_partitions(connection))
        wait_until_projected(engine)
    with engine.connect() as connection:
        assert left_ahead(connection) > 10_000_000
    assert_projected(engine)


def test_the_server_gives_up_at_once_and_leaves_no_lock(engine: Engine) -> None:
    """A client that dies after its call holds up nobody: the server commits by itself."""
    go_to_the_end(engine)
    with reading(engine):
        for _ in range(3):
            with pytest.raises(PartitionsBusy, match="qforge db maintain"):
                make_partitions(engine)
    with engine.connect() as connection:
        locks = connection.scalar(
            text(
                "SELECT count(*) FROM pg_locks WHERE database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND mode IN ('AccessExclusiveLock', 'ShareUpdateExclusiveLock')"
            )
        )
    assert locks == 0
    assert make_partitions(engine)
    assert make_partitions(engine) == []


def test_one_at_a_time_makes_partitions_and_the_others_do_not_wait(engine: Engine) -> None:
    """Of many projectors one does it; who comes meanwhile goes on with its work."""
    go_to_the_end(engine)
    with engine.begin() as one:
        made = list(one.execute(text("SELECT maintain_event_partitions()")).scalars())
        assert made
        with pytest.raises(PartitionsBusy):
            make_partitions(engine)
    assert make_partitions(engine) == []
    with engine.connect() as connection:
        names = [each.name for each in list_partitions(connection)]
    assert len(names) == len(set(names))


def test_a_large_default_partition_is_not_read_under_a_lock_unless_asked(
    engine: Engine, qforge_here: Qforge
) -> None:
    """Nothing is refused: the events go on to the default partition, and status says so."""
    # Given: a log that ran out of partitions for long
    with engine.begin() as connection:
        last = max(p.last_position or 0 for p in list_partitions(connection))
        connection.execute(text("SELECT setval('event_logs_id_seq', :last)"), {"last": last})
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("""
                INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version,
                                        event_type, schema_version, data, metadata, occurred_at,
                                        recorded_at)
                SELECT gen_random_uuid(), gen_random_uuid(), 'x', gen_random_uuid(), 1, 'x', 1,
                       jsonb_build_object('long', long), '{}', now(), now()
                  FROM generate_series(1, 25000) AS n
                 CROSS JOIN LATERAL (SELECT string_agg(md5((n * i)::text), '') AS long
                                       FROM generate_series(1, 50) AS i) AS random
            """)
        )

    # When, then: it is refused by name; appends and projections go on
    with pytest.raises(DefaultPartitionLarge, match=r"qforge db maintain --scan"):
        make_partitions(engine)
    assert "qforge db maintain --scan" in qforge_here("db", "maintain", status=1).stderr
    (placed,) = append_and_commit(engine, small_event())
    catch_up(engine, [PROJECTIONS["batch_jobs"]])
    assert (
        "The partitions of the log have room for 0 more positions" in qforge_here("status").stderr
    )

    # When, then: asked to, it is done, and the next partition lies above
    qforge_here("db", "maintain", "--scan")
    with engine.connect() as connection:
        assert left_ahead(connection) > 10_000_000
        firsts = [p.first_position or 0 for p in list_partitions(connection)]
    assert min(first for first in firsts if first > last) > placed.position
