"""The spool keeps what it acknowledged, and tells of every byte that is not what was written."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum_forge.eventstore.base.errors import SpoolUnwritable
from quantum_forge.eventstore.log.append import encode_wire
from quantum_forge.eventstore.spool.frames import Damage, Frame, frame, scan
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.state import spool_state
from tests.conftest import Qforge, command_line
from tests.support.appending import small_event
from tests.support.spooling import away, chain, spooled

wires = st.lists(st.binary(max_size=60).filter(lambda wire: b"\xff" not in wire), max_size=6)


def found_in(content: bytes) -> list[Frame | Damage]:
    """What a segment of this content shows."""
    descriptor = os.memfd_create("segment")
    try:
        os.write(descriptor, content)
        return list(scan(descriptor))
    finally:
        os.close(descriptor)


@given(wires)
def test_what_was_written_is_read(written: list[bytes]) -> None:
    """Frames come back whole and in order."""
    found = found_in(b"".join(map(frame, written)))

    assert [each.wire for each in found if isinstance(each, Frame)] == written
    assert not [each for each in found if isinstance(each, Damage)]


@given(wires, st.data())
@settings(max_examples=300)
def test_any_cut_leaves_a_prefix_and_one_reported_tear(
    written: list[bytes], data: st.DataObject
) -> None:
    """However a power loss shortens the file, nothing before is lost and nothing is made up."""
    content = b"".join(map(frame, written))
    cut = data.draw(st.integers(0, len(content)))
    ends = [0]
    for wire in written:
        ends.append(ends[-1] + len(frame(wire)))
    whole = sum(end <= cut for end in ends) - 1

    found = found_in(content[:cut])

    assert [each.wire for each in found if isinstance(each, Frame)] == written[:whole]
    torn = [each for each in found if isinstance(each, Damage)]
    assert torn == ([] if cut == ends[whole] else [Damage(ends[whole], cut, is_tail=True)])


@given(wires.filter(bool), st.data())
@settings(max_examples=300)
def test_any_changed_byte_is_reported_and_costs_one_append(
    written: list[bytes], data: st.DataObject
) -> None:
    """The frames around the damage are intact; what is between them is named to the byte."""
    content = bytearray(b"".join(map(frame, written)))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))

    found = found_in(bytes(content))

    kept = [each.wire for each in found if isinstance(each, Frame)]
    (damage,) = [each for each in found if isinstance(each, Damage)]
    assert damage.offset <= at < damage.end
    assert len(kept) == len(written) - 1
    assert sum(each.end - each.offset for each in found) == len(content)
    assert damage.is_tail == (damage.end == len(content))


@given(wires, st.binary(min_size=1, max_size=40))
def test_rubbish_at_the_end_is_no_append(written: list[bytes], rubbish: bytes) -> None:
    """Nor are the zeros that some file systems leave after a power loss."""
    for tail in (rubbish, b"\0" * len(rubbish)):
        found = found_in(b"".join(map(frame, written)) + tail)

        assert [each.wire for each in found if isinstance(each, Frame)] == written
        assert isinstance(found[-1], Damage)
        assert found[-1].is_tail


def test_a_segment_is_private_and_belongs_to_one_process(tmp_path: Path) -> None:
    """Its events may be confidential; who has the lock is the only one to drain or write."""
    segment = Segment.create(tmp_path / "home" / "spool")

    assert Segment.take(segment.path) is None
    assert segment.path.stat().st_mode & 0o077 == 0
    assert segment.path.parent.stat().st_mode & 0o077 == 0

    segment.close()
    taken = Segment.take(segment.path)

    assert taken is not None
    taken.remove()
    assert Segment.take(segment.path) is None


def test_names_sort_by_time(tmp_path: Path) -> None:
    """A drain that goes by name goes by time."""
    made = [Segment.create(tmp_path) for _ in range(5)]

    assert [each.path for each in made] == sorted(each.path for each in made)
    for each in made:
        each.close()


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 2,000 bytes, as a full disk or a quota would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_write_that_does_not_fit_is_an_error_that_says_what_was_not_recorded(
    tmp_path: Path,
) -> None:
    """The kernel's own refusal, in the middle of a frame; what was recorded before stays whole."""
    recorder = away(tmp_path)
    events = iter([small_event() for _ in range(100)])

    with pytest.raises(SpoolUnwritable) as failed:
        deque(map(recorder.record_all, events), maxlen=0)

    recorded = 100 - len(list(events)) - 1
    assert recorded
    message = str(failed.value)
    assert "batch_resumed of batch" in message
    assert "was NOT recorded" in message
    assert os.strerror(errno.EFBIG) in message
    assert "free some space" in message
    recorder.close()
    (segment,) = spool_state(tmp_path).segments
    assert (segment.events, segment.torn, segment.damaged) == (recorded, [], [])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_after_a_failed_fsync_the_append_counts_as_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An fsync that failed once may succeed next time without having written: it is taken back."""
    segment = Segment.create(tmp_path)
    segment.append(encode_wire([small_event()]))

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("quantum_forge.eventstore.spool.segment.os.fsync", fail)
        with pytest.raises(SpoolUnwritable, match=os.strerror(number)):
            segment.append(encode_wire([small_event()]))
    segment.append(encode_wire([small_event()]))

    assert [type(each) for each in segment.scan()] == [Frame, Frame]
    segment.close()


def test_a_spool_that_cannot_be_made_is_an_error_that_says_what_was_not_recorded(
    tmp_path: Path,
) -> None:
    """Such as where a file is in the place of the directory."""
    (tmp_path / "home").write_text("")

    with pytest.raises(SpoolUnwritable, match="was NOT recorded"):
        away(tmp_path / "home" / "spool").record_all(small_event())


def test_the_full_device_itself_refuses(tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC."""
    segment = Segment.create(tmp_path)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, segment._descriptor)
    os.close(full)

    with pytest.raises(SpoolUnwritable, match="No space left on device"):
        segment.append(encode_wire([small_event()]))

    segment.close()


@pytest.fixture
def without_database(tmp_path: Path) -> Qforge:
    """Return a command line whose database does not answer."""
    return command_line(tmp_path, DATABASE_URL="postgresql://x@127.0.0.1:1/none")


def test_status_shows_what_waits_without_a_database(
    tmp_path: Path, without_database: Qforge
) -> None:
    """An empty spool is one, too; who is alive is told from who is not."""
    spool = tmp_path / "home" / "spool"
    assert json.loads(without_database("spool", "status", "--json").stdout)["events"] == 0
    spooled(spool, *chain(uuid4(), 3))
    with away(spool) as alive:
        alive.record_all(small_event(), small_event())

        said = without_database("spool", "status")
        state = json.loads(without_database("spool", "status", "--json").stdout)

    assert [(s["is_in_use"], s["appends"], s["events"]) for s in state["segments"]] == [
        (False, 3, 3),
        (True, 1, 2),
    ]
    assert state["events"] == 5
    assert state["bytes"] > 0
    assert "qforge spool drain" in said.stderr


def test_status_tells_of_a_torn_end_and_exits_with_1(
    tmp_path: Path, without_database: Qforge
) -> None:
    """With the file and the offset."""
    path = spooled(tmp_path / "home" / "spool", *chain(uuid4(), 2))
    size = path.stat().st_size
    os.truncate(path, size - 1)

    said = without_database("spool", "status", status=1)

    assert f"{path} ends in the middle of an append, at byte {size // 2}" in said.stderr


def test_drain_says_that_the_database_is_away_and_loses_nothing(
    tmp_path: Path, without_database: Qforge
) -> None:
    """One line, status 2, and everything still there."""
    path = spooled(tmp_path / "home" / "spool", small_event())
    before = path.read_bytes()

    said = without_database("spool", "drain", status=2)

    assert said.stderr.startswith("Error: no connection to 127.0.0.1:1")
    assert path.read_bytes() == before


def test_a_process_that_only_looks_leaves_no_trace(tmp_path: Path) -> None:
    """Not even an empty directory."""
    code = "import sys; from quantum_forge.cli.main import main; main(['spool', 'status'])"
    env = {**os.environ, "QFORGE_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)

    assert list(tmp_path.iterdir()) == []
