"""Open Babel in a process of its own: its library and RDKit's in one process may end it.

As a script it answers requests, one JSON object a line, until its standard input ends.
"""

import json
import subprocess
import sys
from types import TracebackType
from typing import Self


class OpenBabel:
    """A child process that writes molecules in the formats of Open Babel."""

    def __enter__(self) -> Self:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.communicate(timeout=30)

    def write(self, mol_block: str, format_: str, title: str) -> str:
        """Return the molecule of a mol block in a format, with a title."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        request = {"mol_block": mol_block, "format": format_, "title": title}
        print(json.dumps(request), file=stdin, flush=True)
        answer = stdout.readline()
        if not answer:
            raise AssertionError(f"Open Babel ended with status {self._process.wait(timeout=30)}")
        return str(json.loads(answer))


def _answer() -> None:
    from openbabel import openbabel, pybel  # never in the process of the tests

    openbabel.obErrorLog.SetOutputLevel(0)
    for line in sys.stdin:
        request = json.loads(line)
        molecule = pybel.readstring("sdf", request["mol_block"])
        molecule.title = request["title"]
        print(json.dumps(molecule.write(request["format"])), flush=True)


if __name__ == "__main__":
    _answer()
