"""Homes of an embedded server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.homes import new_home
from tests.support.server_clients import new_server, stop_whatever_runs


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """Return a home whose server was made, started and stopped."""
    home = new_home("qforge-initialised-")
    with new_server(home):
        pass
    yield home
    shutil.rmtree(home)


@pytest.fixture
def home(initialised: Path) -> Iterator[Path]:
    """Return that home, in which nothing runs before or after the test."""
    yield initialised
    stop_whatever_runs(initialised)


@pytest.fixture
def own_home(initialised: Path) -> Iterator[Path]:
    """Return a copy of it that the test may spoil."""
    directory = new_home("qforge-home-")
    home = directory / "home"
    shutil.copytree(initialised, home)
    yield home
    shutil.rmtree(directory)
