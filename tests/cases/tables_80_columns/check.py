"""On a terminal of 80 columns every table can be read, and no line is longer."""

import os
import re
import sys
from pathlib import Path

from rich.cells import cell_len

from tests.conftest import Qforge
from tests.support.terminal import on_a_terminal

HEADERS = {
    ("as-of", "0h", "calculations"): "id status method energy/Eh gap/eV",
    ("metrics", "show", "--by", "method"): "time group count average unit",
    ("audit",): "when action before",
}


def check(folder: Path, qforge: Qforge) -> None:
    """The columns that matter are there, with their values, and what is not shown is named."""
    qforge("run", str(folder / "ethanol.smi"))
    url = qforge("db", "url").stdout.strip()
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    env |= {"DATABASE_URL": url, "TERM": "xterm"}
    for command, headers in HEADERS.items():
        program = [sys.executable, "-m", "quantum_forge.cli.main", *command]
        seen = on_a_terminal(program, width=80, env=env).decode().replace("\r\n", "\n")
        lines = re.sub(r"\x1b\[[\d;]*m", "", seen).split("\n")
        assert max(map(cell_len, lines)) <= 80, (command, seen)
        (header,) = [line for line in lines if line.startswith("┃")]
        assert set(headers.split()) <= set(header.replace("┃", " ").split()), (command, header)
        assert "GFN2-xTB" in seen if "metrics" in command else "completed" in seen, (command, seen)
