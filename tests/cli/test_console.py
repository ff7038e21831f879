"""What commands print: plain and complete in a pipe, harmless on a terminal."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from sqlalchemy.sql import quoted_name

from quantum_forge.cli.show import console

TABLE = """
from quantum_forge.cli.show import console
console.table(["smiles", "gap"], [("[NH4+]", 1.5), ("[bold]C\\x1b[31m", None)], right=["gap"])
"""


def test_a_piped_table_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    """`cut` and a spreadsheet read it; no value can break a row or be cut short."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

    console.table(["a", "b", "c"], [("x\ty\n", None, True), ("Å" * 300, 1.25, at)])

    assert capsys.readouterr().out == (
        f"a\tb\tc\nx\\ty\\n\t\tyes\n{'Å' * 300}\t1.25\t2026-01-02 03:04:05+00:00\n"
    )


def test_a_table_on_a_terminal_shows_values_as_they_are() -> None:
    """The brackets of a SMILES are not markup, and a name cannot command the terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TABLE], stdout=theirs) as printing:
        os.close(theirs)
        seen = b""
        # At the end of a terminal's output Linux reports an error rather than an end.
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:
            pass
    os.close(ours)

    assert printing.returncode == 0
    assert b"[NH4+]" in seen
    assert b"[bold]C" in seen
    assert b"\x1b[31m" not in seen


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a library put into its message."""
    console.error("two\nlines")

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("two lines\n")


def test_progress_in_a_pipe_ends_with_the_whole_count(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets a line at the end, failures included, and stdout nothing."""
    with console.progress("calculations", 3) as report:
        report(2)
        report(1, 1)

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("calculations: 3/3, 1 failed, ")


def test_json_has_keys_of_any_kind_encoded_parts_and_subclasses_of_str(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ids as keys, JSON from the log, names of SQLAlchemy."""
    name = quoted_name("table", quote=True)

    console.emit_json({UUID(int=1): [name, msgspec.Raw(b'{"b": 1, "a": [null]}')]})

    assert json.loads(capsys.readouterr().out) == {
        "00000000-0000-0000-0000-000000000001": ["table", {"a": [None], "b": 1}]
    }
