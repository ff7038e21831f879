"""A subscriber that outlives a crash of the server skips nothing, not even what the crash undid."""

import shutil
import threading
import time
from pathlib import Path

from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.support.appending import append_and_commit, small_event
from tests.support.faults import end_in_a_gap, kill_server
from tests.support.killable import migrated_home


def test_positions_that_a_crash_hands_out_again_are_not_skipped(bin_directory: Path) -> None:
    """The gap of a rolled-back append is durable only when something later was committed."""
    # Given: a log that ends with a gap, which no WAL tells of yet
    home = migrated_home(bin_directory, "qforge-test-")
    settings = {"autovacuum": "off"}
    with EmbeddedServer(home, bin_directory=bin_directory, settings=settings) as server:
        engine = make_engine(server.url())
        first, head = end_in_a_gap(server, engine)

        # And a subscriber that has come to its end
        positions: list[int] = []
        stop = threading.Event()

        def follow() -> None:
            for event in subscribe(engine, stop=stop):
                positions.append(event.position)

        subscriber = threading.Thread(target=follow)
        subscriber.start()
        time.sleep(1)

        # When: the server crashes and comes back, and an event is appended
        kill_server(server)
        again = EmbeddedServer(home, bin_directory=bin_directory, settings=settings)
        again.start()
        engine.dispose()
        (second,) = append_and_commit(engine, small_event())

        # Then: it lies within the gap, and the subscriber has it
        assert first.position < second.position <= head
        until = time.monotonic() + 10
        while len(positions) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        stop.set()
        subscriber.join(10)
        assert positions == [first.position, second.position]
        engine.dispose()
        again.close()
    shutil.rmtree(home)
