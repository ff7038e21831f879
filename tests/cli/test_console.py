"""What commands print: plain and complete in a pipe, harmless on a terminal."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy.sql import quoted_name

from quantum_forge.cli.show import console
from tests.support.terminal import on_a_terminal

TABLE = """
from quantum_forge.cli.show import console
console.table(["smiles", "gap"], [("[NH4+]", 1.5), ("[bold]C\\x1b[31m", None)], right=["gap"])
"""

EVERYTHING = """
from quantum_forge.cli.show import console
evil = "a\\x1b]0;t\\x07\\x9b31m\\u202egnp\\x7f\\rb"
console.emit(evil + "\\n" + evil)
console.emit_json({"name": evil})
console.emit_json_line({"name": evil})
console.note(evil)
console.error(evil)
console.row([evil])
console.table([evil], [(evil,)])
"""


def test_a_piped_table_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    """`cut` and a spreadsheet read it; no value can break a row or be cut short."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

    console.table(["a", "b", "c"], [("x\ty\n", None, True), ("Å" * 300, {"n": [1.25]}, at)])

    assert capsys.readouterr().out == (
        f'a\tb\tc\nx\\ty\\n\t\tyes\n{"Å" * 300}\t{{"n":[1.25]}}\t2026-01-02 03:04:05+00:00\n'
    )


def test_a_table_on_a_terminal_shows_values_as_they_are() -> None:
    """The brackets of a SMILES are not markup, and a name cannot command the terminal."""
    seen = _on_a_terminal(TABLE)

    assert b"[NH4+]" in seen
    assert b"[bold]C" in seen
    assert b"\x1b[31m" not in seen


IDS = """
from uuid import UUID
from quantum_forge.cli.show import columns
ids = ["01a224a3-3df6-7579-a592-f28da2431690", "01a224a3-5182-7436-9f05-1b378f6f94d5"]
columns.table([columns.Shown("id")], [{"id": UUID(id_)} for id_ in ids])
columns.table([columns.Shown("id")], [{"id": UUID(ids[0])}, {"id": None}])
"""


def test_ids_on_a_terminal_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    """What is shown may be typed: ids made within a minute begin with the same eight digits."""
    seen = _on_a_terminal(IDS).decode()

    assert re.findall(r"01a2[\w-]*", seen) == ["01a224a3-3df6", "01a224a3-5182", "01a224a3"]


DIFFERENT = """
from quantum_forge.cli.show import columns
shown = [columns.Shown("smiles"), columns.Shown("energy", 6, rank=1),
         columns.Shown("solvent", rank=3, null="gas phase", setting=True)]
one = {"smiles": "C" * 60, "energy": -1.0, "solvent": None}
for rows in ([one, one], [one, one | {"solvent": "water"}]):
    columns.table(shown, rows)
"""


def test_a_list_shows_the_setting_in_which_rows_differ_first() -> None:
    """Two results of one molecule, in water and in the gas phase, can be told apart."""
    seen = re.sub(r"\x1b\[[\d;]*m", "", _on_a_terminal(DIFFERENT).decode())

    same, different = seen.split("smiles")[1:]
    assert "-1.000000" in same
    assert "gas phase" not in same
    assert "-1.000000" not in different
    assert re.search("gas phase.*water", different, re.DOTALL)


def _on_a_terminal(program: str) -> bytes:
    return on_a_terminal([sys.executable, "-c", program])


def test_nothing_that_is_printed_on_a_terminal_commands_it() -> None:
    """Names, SMILES and messages come from strangers' files: no escape, no reordering of text."""
    seen = _on_a_terminal(EVERYTHING).decode()

    # Rich and click set their own bold and red; a terminal ends its lines by CR LF.
    plain = re.sub(r"\x1b\[[\d;]*m", "", seen).replace("\r\n", "\n")
    assert "".join(plain.split("\n")).isprintable(), ascii(plain)
    assert "31m" in plain
    assert "\x1b]" not in seen
    evil = "a\x1b]0;t\x07\x9b31m\u202egnp\x7f\rb"
    (line,) = [line for line in plain.split("\n") if line.startswith('{"')]
    assert json.loads(line) == {"name": evil}


@pytest.mark.parametrize(
    ("arguments", "redirected", "status", "said"),
    [
        ("--help", ">/dev/full", 2, "Error: the output cannot be written: No space left on device"),
        ("completion bash", ">&-", 0, ""),
        ("molecules show $'\\xff'", "", 2, "is not UTF-8"),
    ],
)
def test_no_traceback_where_output_or_arguments_are_unusable(
    arguments: str, redirected: str, status: int, said: str, tmp_path: Path
) -> None:
    """A full disk, a closed stream, bytes that are not text."""
    line = f"{sys.executable} -m quantum_forge.cli.main {arguments} {redirected}"
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "QFORGE_HOME": str(tmp_path), "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_gets_the_data_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """What is escaped on a terminal is not changed in a pipe."""
    console.emit("a\x9b\u202e")
    console.emit_json({"name": "a\x9b\u202e"})

    first, second = capsys.readouterr().out.splitlines()
    assert first == "a\x9b\u202e"
    assert json.loads(second) == {"name": "a\x9b\u202e"}


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
