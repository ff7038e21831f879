"""Completion: a shell that loads the script offers qforge's commands, subcommands and options."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quantum_forge.cli.main import COMMANDS
from tests.conftest import Qforge

BASH = """
source ./script
COMP_WORDS=(qforge $1 "$2"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="qforge $1 $2"
_qforge_completion qforge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid_in_its_shell(qforge_here: Qforge, tmp_path: Path, shell: str) -> None:
    """It can be installed as it is printed."""
    script = qforge_here("completion", shell).stdout

    assert "_QFORGE_COMPLETE" in script
    if (program := shutil.which(shell)) is not None:
        (tmp_path / "script").write_text(script)
        subprocess.run([program, "-n", tmp_path / "script"], check=True)


@pytest.mark.parametrize(
    ("before", "incomplete", "offered"),
    [
        ("", "cal", {"calculations"}),
        ("", "re", {name for name in COMMANDS if name.startswith("re")}),
        ("server", "st", {"status", "stop"}),
        ("server stop", "--f", {"--force"}),
        ("completion", "", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_offers_what_fits(
    qforge_here: Qforge, tmp_path: Path, before: str, incomplete: str, offered: set[str]
) -> None:
    """Commands, commands of commands, options and choices."""
    (tmp_path / "script").write_text(qforge_here("completion", "bash").stdout)

    done = subprocess.run(
        ["bash", "-c", BASH, "bash", before, incomplete],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(done.stdout.split()) == offered, done.stderr


def test_an_unknown_shell_is_one_clear_line(qforge_here: Qforge) -> None:
    """The error lists the shells there are."""
    assert "'bash', 'zsh', 'fish'" in qforge_here("completion", "tcsh", status=2).stderr
