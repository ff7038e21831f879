"""The code of docs/how-to/projections.md does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

from quantum_forge.eventstore.database.engine import Database, libpq_url

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "projections.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_steps_of_the_page_run_and_print_what_it_shows(
    database: Database, tmp_path: Path
) -> None:
    """A reader who follows it has a table that is filled, verified and seen in the past."""
    script = tmp_path / "instruments.py"
    script.write_text("\n".join(BLOCKS), "utf-8")

    done = subprocess.run(
        [sys.executable, str(script)],
        env={
            "DATABASE_URL": libpq_url(database.url),
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"It prints:\n\n(.*?)\n\n", PAGE, re.DOTALL)
    assert done.stdout.split() == shown.split()


def test_a_projection_costs_about_thirty_lines() -> None:
    """Its table and its declaration, imports and all."""
    _, table, projection, _ = BLOCKS
    lines = [line for line in (table + projection).splitlines() if line.strip()]
    assert len(lines) <= 40


def test_every_file_that_the_page_names_is_there() -> None:
    """Links and tests."""
    links = re.findall(r"\]\(([\w./-]+)\)", PAGE)
    tests = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert tests
    assert not [link for link in links if not (ROOT / "docs" / "how-to" / link).exists()]
    assert not [test for test in tests if not (ROOT / test).exists()]
