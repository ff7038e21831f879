"""What the README shows works."""

import re
import subprocess
import sys
from pathlib import Path

from quantum_forge.eventstore.database.engine import Database, libpq_url

ROOT = Path(__file__).parents[2]


def test_the_python_example_runs(database: Database, tmp_path: Path) -> None:
    """A reader who pastes it sees the molecule that it appends."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"DATABASE_URL": libpq_url(database.url), "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "molecule_created" in done.stdout
    assert "error_message='SCF not converged'" in done.stdout
    assert "Difference(added=1" in done.stdout
    assert code.count("import") == 1


def test_every_file_that_is_named_is_there() -> None:
    """Links and test files of README and CONTRIBUTING exist."""
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8")
        # A SMILES such as C[C@H](CS) in a terminal session looks like a link.
        text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
        links = re.findall(r"\]\(([\w./-]+)\)", text) + re.findall(r"`(tests/[\w/]+\.py)`", text)
        missing = [link for link in links if not (ROOT / link).exists()]
        assert not missing, f"{name} names {missing}"
