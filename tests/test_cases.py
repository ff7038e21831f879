"""Every case in `tests/cases/` gives its right result, by the commands that a user would type."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import Qforge

CASES = Path(__file__).parent / "cases"


def _names() -> list[str]:
    return sorted(folder.name for folder in CASES.iterdir() if any(folder.glob("check.py")))


@pytest.mark.parametrize("name", _names())
def test_case_gives_its_right_result(name: str, qforge_here: Qforge) -> None:
    """`check(folder, qforge)` runs the case's commands and asserts the right values."""
    import_module(f"tests.cases.{name}.check").check(CASES / name, qforge_here)


def test_every_folder_of_inputs_is_checked() -> None:
    """A folder without `check.py` would be passed over."""
    folders = {path.name for path in CASES.iterdir() if path.is_dir() and path.name[0] not in "._"}

    assert folders == set(_names())
