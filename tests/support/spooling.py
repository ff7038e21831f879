"""Spools with small events in them, and processes that record or drain until they are killed."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.database_store import DatabaseStore
from quantum_forge.eventstore.recording.delivery import Delivery
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.spool.segment import Segment
from tests.conftest import OTHERS_VARIABLES
from tests.support.appending import TENANT, small_event

NOBODY = URL.create("postgresql+psycopg", username="x", host="127.0.0.1", port=1, database="none")
"""An address where nothing answers."""

RECORD = """
import sys
from pathlib import Path
from uuid import UUID
from sqlalchemy.engine import make_url
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from tests.support.appending import TENANT, small_event

url, spool, stream = sys.argv[1:]
engine, author = make_engine(make_url(url)), Author(tenant_id=TENANT)
with Recorder(engine, author, rules=False, spool=Path(spool)) as recorder:
    for number in range(1_000_000):
        event = small_event(UUID(stream), number, expected_version=number)
        recorder.record_all(event)
        print(event.event_id, flush=True)
"""
"""Records a stream, one event after the other, and prints the id of each that is recorded."""

DRAIN = """
import sys
from pathlib import Path
from sqlalchemy.engine import make_url
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.recording.drain import drain

print("draining", flush=True)
drain(
    Path(sys.argv[2]),
    make_engine(make_url(sys.argv[1])),
    report=lambda *_: print("appended", flush=True),
)
"""


def program(code: str, url: URL, spool: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of this module."""
    address = url.render_as_string(hide_password=False)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(OTHERS_VARIABLES)}
    return subprocess.Popen(
        [sys.executable, "-c", code, address, str(spool), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept,
        cwd=Path(__file__).parents[2],
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a program; return what it printed and nobody has read."""
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stderr:
        return process.stdout.read()


def away(spool: Path) -> Recorder:
    """A recorder whose database does not answer."""
    return Recorder(make_engine(NOBODY), Author(tenant_id=TENANT), rules=False, spool=spool)


def here(engine: Engine, spool: Path) -> Recorder:
    """A recorder whose database answers."""
    return Recorder(engine, Author(tenant_id=TENANT), rules=False, spool=spool)


def spooled(spool: Path, *appends: NewEvent | list[NewEvent]) -> Path:
    """Leave a segment of these appends, as a process that has ended would; return its path."""
    segment = Segment.create(spool)
    for each in appends:
        segment.append(encode_wire(each if isinstance(each, list) else [each]))
    segment.close()
    return segment.path


def chain(stream: UUID, length: int, after: int = 0) -> list[NewEvent]:
    """Events of one stream, each expecting the one before it."""
    return [
        small_event(stream, number, expected_version=number)
        for number in range(after, after + length)
    ]


def delivery_of(recorder: Recorder) -> Delivery:
    """The recorder's spool."""
    delivery = recorder._shared.delivery
    assert delivery is not None
    return delivery


def connect(recorder: Recorder, engine: Engine) -> None:
    """Have a recorder's database answer from now on: this one."""
    store = recorder._shared.store
    assert isinstance(store, DatabaseStore)
    store.close()
    store.engine = store.appender.engine = store.permissions.engine = engine
    delivery_of(recorder).next_try = 0.0
