"""The code of docs/how-to/projections.md does what the page says."""

import json
import re
import subprocess
import sys
from pathlib import Path

from quantum_forge.eventstore.database.engine import Database, libpq_url

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "projections.md").read_text("utf-8")
(DOMAIN,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
STEPS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


def test_the_steps_of_the_page_add_a_table_and_show_its_past(
    database: Database, tmp_path: Path
) -> None:
    """A reader who follows it has a table that is filled, verified and seen in the past."""
    package = tmp_path / "lab" / "mylab"
    package.mkdir(parents=True)
    (package / "spectra.py").write_text(DOMAIN, "utf-8")

    done = subprocess.run(
        ["bash", "-e"],
        input="\n".join(STEPS),
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "DATABASE_URL": libpq_url(database.url),
            "HOME": str(tmp_path),
            "QFORGE_HOME": str(tmp_path / "home"),
            "PYTHONPATH": f"{tmp_path / 'lab'}:{ROOT}",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    shown = json.loads(done.stdout.splitlines()[-1])
    assert [(row["operator"], row["spectra"], row["average_peak"]) for row in shown] == [
        ("Ada", 1, 520.5)
    ]


def test_a_table_costs_about_thirty_lines() -> None:
    """Its events, table and projection, imports aside."""
    lines = [line for line in DOMAIN.splitlines() if line.strip()]
    assert len([line for line in lines if not re.match(r"(from|import) ", line)]) <= 32


def test_every_file_that_the_page_names_is_there() -> None:
    """Links and tests."""
    links = re.findall(r"\]\(([\w./-]+)\)", PAGE)
    tests = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert tests
    assert not [link for link in links if not (ROOT / "docs" / "how-to" / link).exists()]
    assert not [test for test in tests if not (ROOT / test).exists()]
