"""What of a job's folder is read: its own regular files, and nothing that a link leads to."""

import os
from pathlib import Path

import pytest

from quantum_forge.runner.jobs.reading.contents import FILE_LIMIT, BrokenJob, FolderContents
from quantum_forge.runner.jobs.reading.folders import Folder, discover

LOG = "      -----------------------------------------------------------\n" * 3 + "x T B\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of a job, beside which lies what is not the job's."""
    (tmp_path / "secret").write_text("precious")
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "inner"])
def test_a_link_out_of_a_jobs_folder_is_not_followed(folder: Path, target: str) -> None:
    """Whoever wrote the folder would have any file of the reader's in the log."""
    (folder / "inner").symlink_to("../secret")
    (folder / "stderr.log").symlink_to(target)

    with pytest.raises(BrokenJob, match=r"stderr.log: cannot be read: it is a link .* a copy"):
        FolderContents(Folder(str(folder), ("stderr.log",)))


def test_a_link_to_another_file_of_the_folder_is_followed(folder: Path) -> None:
    """`xtbopt.xyz -> molecule.xyz` says nothing that the folder does not."""
    (folder / "molecule.xyz").write_text("own")
    (folder / "xtbopt.xyz").symlink_to("molecule.xyz")

    assert FolderContents(Folder(str(folder), ("xtbopt.xyz",))).get("xtbopt.xyz") == b"own"


def test_a_log_of_a_free_name_is_not_found_through_a_link(folder: Path) -> None:
    """The first bytes of foreign files are not looked at, nor is a named pipe waited for."""
    (folder.parent / "other.out").write_text(LOG)
    (folder / "mine.out").symlink_to("../other.out")
    os.mkfifo(folder / "pipe.out")

    assert [each for each in discover(folder) if isinstance(each, Folder)] == []


def test_the_files_of_a_job_have_a_limit_together(folder: Path) -> None:
    """Sparse files take no room on the disk, and would take all of it in memory."""
    names = tuple(f"g{number}.xyz" for number in range(3))
    for name in names:
        with (folder / name).open("wb") as file:
            file.truncate(FILE_LIMIT)

    with pytest.raises(BrokenJob, match=r"g2.xyz: with it the job's files have more than 128 MB"):
        FolderContents(Folder(str(folder), names))
