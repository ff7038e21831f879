"""What does not belong in a spool stops nothing, and a file that is taken away loses nothing."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from quantum_forge.eventstore.base.errors import SpoolUnwritable
from quantum_forge.eventstore.recording.drain import drain
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.spool.frames import frame
from quantum_forge.eventstore.spool.segment import Segment
from quantum_forge.eventstore.spool.segment_drain import SegmentDrain
from quantum_forge.eventstore.spool.state import spool_state
from tests.conftest import Qforge
from tests.eventstore.spool.test_drain import ids_in_log
from tests.support.nobody import NOBODY, as_nobody
from tests.support.spooling import away, chain, connect, here, spooled

FIRST, LAST = "20000101T000000.000000Z-1-0000", "20990101T000000.000000Z-1-ffff"
"""Names before and after those of segments that are written now."""


def _json(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(frame(content))


BAD: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nothing": lambda path: path.symlink_to("/nowhere"),
    "a named pipe": os.mkfifo,
    "an object": _json(b'{"a": 1}'),
    "an empty array": _json(b"[]"),
    "other events": _json(b'[{"event_id": 7}]'),
    "deep": _json(b"[" * 5000 + b"]" * 5000),
    "no text": _json(b"\xc3\x28"),
    "a truncated frame": lambda path: path.write_bytes(frame(b"[]")[:-1]),
    "bytes": lambda path: path.write_bytes(bytes(range(256)) * 9),
}
"""What may lie where a segment is expected."""


@pytest.fixture
def common() -> Iterator[Path]:
    """Return a spool that everybody may write to."""
    folder = Path(tempfile.mkdtemp(prefix="qforge-spool-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("at", [FIRST, LAST])
@pytest.mark.parametrize("kind", BAD)
def test_no_entry_keeps_a_good_segment_from_the_log(
    engine: Engine, tmp_path: Path, kind: str, at: str
) -> None:
    """It is named, and left or set aside; nothing is taken from it and nothing lost."""
    # Given: a bad entry before or after a good one
    bad = tmp_path / f"{at}.spool"
    BAD[kind](bad)
    stream = uuid4()
    events = chain(stream, 3)
    good = spooled(tmp_path, *events)

    # When: somebody looks, and drains
    state = spool_state(tmp_path)
    drained = drain(tmp_path, engine)

    # Then: the bad one is named, and the good one in the log
    assert state.needs_attention
    assert state.events == 3
    named = [each.path for each in state.unusable]
    named += [each.path for each in state.segments if each.damaged or each.torn]
    assert named == [str(bad)]
    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    assert not good.exists()
    told = [*drained.unusable, *drained.damaged, *drained.aside]
    assert len(told) == 1
    assert os.path.lexists(bad) or drained.aside


@pytest.mark.parametrize("what", ["a segment", "rejections", "the directory"])
def test_another_users_file_is_passed_over(engine: Engine, common: Path, what: str) -> None:
    """Its owner can drain it; nobody else's segments wait for that."""
    stream = uuid4()
    events = chain(stream, 2)
    with as_nobody():
        good = spooled(common, *events)
    hidden = common / f"{FIRST}.spool"
    hidden.write_bytes(b"")
    if what == "rejections":
        with as_nobody():
            good = good.rename(common / f"{LAST}.spool")
        hidden = hidden.rename(common / f"{FIRST}.rejected.jsonl")
    if what == "the directory":
        hidden.unlink()
        hidden = common
    hidden.chmod(0)

    with engine.connect() as connection:
        connection.scalar(text("SELECT 1"))  # nobody may open one: the pool has it then
    with as_nobody():
        state = spool_state(common)
        drained = drain(common, engine)

    (entry,) = state.unusable
    assert (entry.path, entry.reason) == (str(hidden), "Permission denied")
    assert "run the command as its owner" in entry.advice
    if what == "the directory":
        assert [each.path for each in drained.unusable] == [common]
        hidden.chmod(0o777)
        with as_nobody():
            drain(common, engine)
    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    assert not good.exists()


def test_a_strangers_segment_is_not_drained(engine: Engine, common: Path) -> None:
    """Whoever may write into the directory could have events appended in another user's name."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    stream = uuid4()
    with as_nobody():
        planted = spooled(common, *chain(stream, 2))

    state, drained = spool_state(common), drain(common, engine)

    assert [each.reason for each in state.unusable] == [f"it belongs to user {NOBODY}"]
    assert [each.path for each in drained.unusable] == [planted]
    assert ids_in_log(engine, stream) == []


def test_every_command_says_what_is_wrong_with_a_spool_and_goes_on(
    qforge_here: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """No traceback, and what is good is drained by whichever command comes first."""
    # Given: a spool with one of everything
    spool = tmp_path / "home" / "spool"
    spool.mkdir(parents=True)
    for number, make in enumerate(BAD.values()):
        make(spool / f"{FIRST}{number:02}.spool")
    (spool / f"{FIRST}.rejected.jsonl").write_text("no JSON\n")
    (spool / f"{LAST}.rejected.jsonl").mkdir()
    (spool / f"{FIRST}.spool.torn-0").symlink_to("/nowhere")
    (spool / "notes.txt").write_text("mine")
    stream = uuid4()
    events = chain(stream, 2)
    spooled(spool, *events)

    # When, then: each command says so
    found = json.loads(qforge_here("spool", "status", "--json", status=1).stdout)
    assert len(found["unusable"]) == 6
    shown = qforge_here("spool", "status", status=1).stderr
    assert shown.count("out of the spool") == 6
    doctor = qforge_here("doctor", status=1)
    assert "is not a regular file" in doctor.stdout
    qforge_here("metrics")
    qforge_here("status")
    molecules = tmp_path / "none.smi"
    molecules.write_text("C methane\n")
    ran = qforge_here("run", str(molecules))
    assert "it is a symbolic link" in ran.stderr

    # And what is good is in the log
    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    again = qforge_here("spool", "drain", "--past-damage", status=1)
    assert "Traceback" not in again.stderr
    left = {path.name for path in spool.iterdir()}
    assert "notes.txt" in left
    assert not [
        name
        for name in left
        if name.endswith(".spool") and (spool / name).is_file() and not (spool / name).is_symlink()
    ]


wires = st.one_of(
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)
contents = st.lists(st.one_of(st.binary(max_size=40), wires.map(frame)), max_size=5).map(b"".join)


@given(contents, contents, contents)
@settings(deadline=None, max_examples=60)
def test_whatever_a_segment_holds_it_is_read_to_its_end(
    before: bytes, after: bytes, rejected: bytes
) -> None:
    """Appends are appended, everything else is kept beside it; nothing is raised."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        wire = spooled_wire()
        path = directory / f"{FIRST}.spool"
        path.write_bytes(before + frame(wire) + after)
        size = path.stat().st_size
        state = spool_state(directory)

        appended: list[bytes] = []
        segment = Segment.take(path)
        assert segment is not None
        one = SegmentDrain(segment, past_damage=True)
        assert one.run(appended.append)
        segment.remove()

        # Every byte is in the log, or kept beside it.
        assert wire in appended
        assert state.events == len(appended)
        kept = sum(each.stat().st_size for each in directory.iterdir())
        assert kept + sum(len(frame(each)) for each in appended) == size

        (directory / f"{FIRST}.rejected.jsonl").write_bytes(rejected)
        spool_state(directory)


def spooled_wire() -> bytes:
    """One intact append."""
    with tempfile.TemporaryDirectory() as name:
        path = spooled(Path(name), chain(uuid4(), 1)[0])
        return path.read_bytes()[16:]


def _deleted(path: Path) -> None:
    path.unlink()


def _moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def _replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"something else")


def _with_its_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


LOSSES = [_deleted, _moved, _replaced, _with_its_directory]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_segment_that_is_taken_away_from_its_recorder_loses_nothing(
    engine: Engine, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    """The next record notices, and writes everything that it has spooled to a new segment."""
    # Given: a recorder that has spooled something, and a segment that somebody takes away
    spool = tmp_path / "spool"
    stream = uuid4()
    events = chain(stream, 4)
    recorder = away(spool)
    for event in events[:2]:
        recorder.record_all(event)
    (path,) = spool.iterdir()
    lose(path)

    # When: it records on, and is killed
    for event in events[2:]:
        assert recorder.record_all(event) is None
    copy = tmp_path / "copy"
    shutil.copytree(spool, copy)
    recorder.close()

    # Then: all that it acknowledged is in files that a drain finds
    drain(copy, engine, past_damage=True)
    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    drain(spool, engine, past_damage=True)
    assert ids_in_log(engine, stream) == [event.event_id for event in events]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_recorder_without_its_segment_drains_it_when_the_database_is_back(
    engine: Engine, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    """The file is open still; records go on, and another file of its name is left alone."""
    spool = tmp_path / "spool"
    stream = uuid4()
    events = chain(stream, 4)
    recorder = away(spool)
    for event in events[:2]:
        recorder.record_all(event)
    (path,) = spool.iterdir()
    lose(path)

    connect(recorder, engine)
    recorder.settle()
    for event in events[2:]:
        assert recorder.record_all(event) is not None
    recorder.close()

    assert ids_in_log(engine, stream) == [event.event_id for event in events]
    if lose is _replaced:
        assert path.read_bytes() == b"something else"


def test_a_recorder_that_ends_without_its_segment_writes_it_anew(
    engine: Engine, tmp_path: Path
) -> None:
    """Nothing that was acknowledged goes with the process."""
    stream = uuid4()
    events = chain(stream, 2)
    with away(tmp_path / "spool") as recorder:
        for event in events:
            recorder.record_all(event)
        (path,) = (tmp_path / "spool").iterdir()
        path.unlink()

    drain(tmp_path / "spool", engine)
    assert ids_in_log(engine, stream) == [event.event_id for event in events]


def test_what_cannot_be_written_anew_is_an_error_and_not_acknowledged(tmp_path: Path) -> None:
    """A spool that has become a file takes nothing."""
    spool = tmp_path / "spool"
    recorder = away(spool)
    first, second = chain(uuid4(), 2)
    recorder.record_all(first)
    shutil.rmtree(spool)
    spool.write_bytes(b"")
    with pytest.raises(SpoolUnwritable, match="was NOT recorded"):
        recorder.record_all(second)
    spool.unlink()
    assert recorder.record_all(second) is None
    recorder.close()
    assert spool_state(spool).events == 3  # the second one twice: the log knows its id


def test_a_bound_login_passes_over_another_tenants_segment(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database will not take from this user keeps nothing else from the log."""
    other = spooled(tmp_path, chain(uuid4(), 1)[0])
    stream = uuid4()
    mine = chain(stream, 1)
    spooled(tmp_path, mine[0])
    from quantum_forge.eventstore.base.errors import OtherTenant
    from quantum_forge.eventstore.recording import drain as module

    append = module.append_spooled
    other_wire = other.read_bytes()[16:]

    def refused(permissions: Permissions, wire: bytes, *, seconds: float) -> None:
        if wire == other_wire:
            raise OtherTenant("not yours")
        append(permissions, wire, seconds=seconds)

    monkeypatch.setattr(module, "append_spooled", refused)
    drained = drain(tmp_path, engine)

    assert [each.path for each in drained.unusable] == [other]
    assert ids_in_log(engine, stream) == [mine[0].event_id]
    assert other.exists()
    assert here(engine, tmp_path).spooled == 0
