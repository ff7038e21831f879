"""Commands of `qforge` in a process that is kept: it starts once for each set of variables.

Each command sees what a process of its own would, but for what Python has loaded.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import OTHERS_VARIABLES

_SERVE = """
import json, os, sys, tempfile
asked, told = (os.fdopen(int(fd), mode) for fd, mode in zip(sys.argv[1:], "rw"))
outputs = [os.dup(1), os.dup(2)]
for line in asked:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            from quantum_forge.cli.main import main
            main(json.loads(line))
        except SystemExit as exited:
            status = exited.code
        sys.stdout.flush()
        sys.stderr.flush()
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    for number, saved in enumerate(outputs, 1):
        os.dup2(saved, number)
    told.write(json.dumps([status or 0, *said]) + "\\n")
    told.flush()
"""


class OneProcess:
    """Runs `qforge` in a directory, as `tests.conftest.command_line` does."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self._directory = directory
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(OTHERS_VARIABLES)
        }
        self._base = {
            **kept,
            "QFORGE_HOME": str(directory / "home"),
            "QFORGE_SERVER_LINGER": "0",
            "PYTHONWARNINGS": "error",
            **variables,
        }
        self._processes: dict[str, _Process] = {}

    def __call__(
        self,
        *arguments: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        status: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Fail unless it exits with `status`; None allows any."""
        assert input is None, "it has no stdin"
        key = json.dumps(dict(env or {}), sort_keys=True)
        if key not in self._processes:
            self._processes[key] = _Process(self._directory, {**self._base, **(env or {})})
        done = self._processes[key].run(arguments)
        assert status in (None, done.returncode), done.stderr + done.stdout
        return done

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.close()


class _Process:
    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(theirs_in), str(theirs_out)],
            stdin=subprocess.DEVNULL,
            cwd=directory,
            env=env,
            pass_fds=(theirs_in, theirs_out),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._asked, self._told = os.fdopen(ours_out, "w"), os.fdopen(ours_in)

    def run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        self._asked.write(json.dumps(arguments) + "\n")
        self._asked.flush()
        status, out, err = json.loads(self._told.readline())
        return subprocess.CompletedProcess(arguments, status, out, err)

    def close(self) -> None:
        self._asked.close()
        self._process.wait(60)
        self._told.close()
