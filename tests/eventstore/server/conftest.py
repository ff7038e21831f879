"""Homes of an embedded server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_clients import new_server, stop_whatever_runs


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose server was made, started and stopped."""
    home = tmp_path_factory.mktemp("initialised")
    with new_server(home):
        pass
    return home


@pytest.fixture
def home(initialised: Path) -> Iterator[Path]:
    """Return that home, in which nothing runs before or after the test."""
    yield initialised
    stop_whatever_runs(initialised)


@pytest.fixture
def own_home(initialised: Path) -> Iterator[Path]:
    """Return a copy of it that the test may spoil."""
    with tempfile.TemporaryDirectory(prefix="qforge-home-") as directory:
        home = Path(directory) / "home"
        shutil.copytree(initialised, home)
        yield home
