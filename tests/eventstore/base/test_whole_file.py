"""Files appear whole or not at all, and only their owner reads them."""

import stat
from pathlib import Path

import pytest

from quantum_forge.eventstore.base.whole_file import (
    TargetBusy,
    TargetExists,
    TargetUnwritable,
    whole_file,
    write_whole,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """Neither an error nor a second writer leaves half a file, nor takes away what was there."""
    path = tmp_path / "set.csv"
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        print(partial.write_text("half") / 0)
    assert list(tmp_path.iterdir()) == []

    with whole_file(path) as partial:
        with pytest.raises(TargetBusy), whole_file(path):
            raise AssertionError
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"

    with pytest.raises(TargetExists), whole_file(path):
        raise AssertionError
    with pytest.raises(RuntimeError), whole_file(path, replace=True):
        raise RuntimeError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]
    with pytest.raises(TargetUnwritable), whole_file(tmp_path / "missing" / "set.csv"):
        raise AssertionError


def test_only_the_owner_reads_what_is_written(tmp_path: Path) -> None:
    """Whatever the umask allows, and also where a file that others could read is replaced."""
    path = tmp_path / "log.dump"
    write_whole(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o666)
    write_whole(path, b"two", replace=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_others_prepared_beside_a_file_is_not_written_to(tmp_path: Path) -> None:
    """Neither a link nor a file under a name that a partial file may have is followed or kept."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted = tmp_path / ".log.dump.partial"
    planted.symlink_to(victim)
    other = tmp_path / ".log.dump.0123456789abcdef.partial"
    other.symlink_to(victim)

    write_whole(tmp_path / "log.dump", b"secret")

    assert victim.read_text() == "precious"
    assert (tmp_path / "log.dump").read_bytes() == b"secret"
    assert planted.is_symlink()
    assert other.is_symlink()


def test_a_remnant_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    """It is a file of our own that nobody holds."""
    remnant = tmp_path / ".set[1].csv.0123456789abcdef.partial"
    remnant.write_text("half")

    write_whole(tmp_path / "set[1].csv", b"whole")

    assert [path.name for path in tmp_path.iterdir()] == ["set[1].csv"]


def test_a_partial_file_that_was_exchanged_does_not_become_the_file(tmp_path: Path) -> None:
    """Who may write in the folder can do that."""
    path = tmp_path / "log.dump"

    def exchanged() -> None:
        with whole_file(path) as partial:
            partial.unlink()
            partial.write_text("forged")

    with pytest.raises(TargetUnwritable, match="another file"):
        exchanged()
    assert not path.exists()
