"""The tutorial: its commands run, in their order, and print the outcomes that it shows."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.conftest import Qforge

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")

COMMAND = r"(?m)^    \$ qforge (.*)\n((?:    [^$\n].*\n)*)"

TABLE = re.compile(r"^ +(?:[\w ]+\n +┏|[┏┃┡│└]|…$).*\n", re.MULTILINE)
"""Lines of tables, and their titles: in a pipe, as here, a command prints plain columns."""

DIFFERS = re.compile(r"retraction [0-9a-f-]+|content [0-9a-f]+|position \d+ to \d+")
"""What differs between databases, and between versions of the libraries."""


def test_a_reader_who_follows_the_tutorial_sees_what_it_shows(
    qforge_here: Qforge, tmp_path: Path
) -> None:
    """Every qforge command of the page succeeds, and prints the plain lines that follow it."""
    (molecules,) = re.findall(r'```text title="molecules.smi"\n(.*?)```', PAGE, re.DOTALL)
    (tmp_path / "molecules.smi").write_text(molecules, "utf-8")

    for command, shown in re.findall(COMMAND, TABLE.sub("", PAGE)):
        arguments = shlex.split(command.replace("0.8.0", version("tblite")))
        # One of its molecules has a broken ring.
        done = qforge_here(*arguments, status=3 if arguments[0] == "run" else 0)
        printed = DIFFERS.sub("", done.stdout + done.stderr)
        for line in map(str.strip, DIFFERS.sub("", shown).splitlines()):
            assert line in printed, f"qforge {command} does not print: {line}"

    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    read = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert read.stdout.startswith("8 structures, 77 atoms\nC -113.6")
