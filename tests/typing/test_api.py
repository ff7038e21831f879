"""The public API as mypy --strict sees it: what is right passes, and what is wrong does not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def errors_of(path: Path) -> set[tuple[str, str]]:
    """The errors of a file, each as line and code."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    error = rf"{re.escape(path.name)}:(\d+): error: .*\[([\w-]+)\]$"
    return set(re.findall(error, done.stdout, re.MULTILINE))


def test_what_users_write_has_the_types_that_they_expect() -> None:
    """Every `assert_type` of the sample holds."""
    assert errors_of(HERE / "api.py") == set()


def test_wrong_use_of_the_api_is_an_error_to_a_type_checker(tmp_path: Path) -> None:
    """On each line that says so, of that kind, and on no other line."""
    sample = tmp_path / "wrong_use.py"
    shutil.copy(HERE / "wrong.txt", sample)
    expected = {
        (str(number), code)
        for number, line in enumerate(sample.read_text("utf-8").splitlines(), start=1)
        for code in re.findall(r"# E: ([\w-]+)$", line)
    }
    assert len(expected) > 20
    assert errors_of(sample) == expected
