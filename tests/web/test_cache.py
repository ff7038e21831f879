"""The shared cache: what one process has read, another serves, and nobody sees too much."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.schema.domains.users import Role
from quantum_forge.web import cache
from quantum_forge.web.cache import SharedPages
from quantum_forge.web.rest import shared
from quantum_forge.web.settings import WebSettings
from tests.support.web import OTHER, SECRET, TENANT, client, serving
from tests.web.conftest import account, as_server

PAGE = "/rest/v1/projects?select=name&order=name"


class RedisServer:
    """A redis-server of this test, at a socket in a folder."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait for its socket."""
        self._socket.unlink(missing_ok=True)
        arguments = ["--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self._process = subprocess.Popen(
            ["redis-server", *arguments], stdout=subprocess.DEVNULL, cwd=self._socket.parent
        )
        deadline = time.monotonic() + 20
        while not self._socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """End it by kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a running redis-server."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: apt install redis-server)")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def names(reply: httpx2.Response) -> tuple[list[str], bool]:
    """The names of a page, and whether it came from the cache."""
    assert reply.status_code == 200, reply.text
    return [row["name"] for row in reply.json()], 'cache;desc="hit"' in reply.headers[
        "Server-Timing"
    ]


def test_processes_share_pages_and_nobody_sees_too_much_or_too_old(
    redis: RedisServer,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A write, another tenant, another query, and a cache that is killed and comes back empty."""
    monkeypatch.setattr(shared, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(cache, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(cache, "LONGEST_PAUSE", 0.2)
    engine = database.engine
    bob = account(engine, TENANT, "bob", Role.RESEARCHER)
    zoe = account(engine, OTHER, "zoe", Role.ADMIN)
    web = WebSettings(jwt_secret=Secret(SECRET), cache_url=Secret(redis.url))
    with (
        as_server(database) as login,
        serving(login, tmp_path / "1", web) as one,
        serving(login, tmp_path / "2", web) as two,
        client(one, bob.key) as first,
        client(two, bob.key) as second,
        client(two, zoe.key) as stranger,
    ):

        def recorded(name: str) -> None:
            assert first.post("/rest/v1/projects", json={"name": name}).status_code == 201
            deadline = time.monotonic() + 20
            while name not in names(second.get(PAGE))[0]:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        recorded("a")
        first.get(PAGE)

        assert names(second.get(PAGE)) == (["a"], True)
        assert second.get(PAGE).headers["ETag"] == first.get(PAGE).headers["ETag"]
        assert names(second.get(f"{PAGE}&name=eq.b"))[0] == []
        assert names(stranger.get(PAGE)) == ([], False)
        assert names(stranger.get(PAGE)) == ([], True)

        recorded("b")
        assert names(second.get(PAGE)) == (["a", "b"], True)

        capfd.readouterr()
        redis.kill()
        for _ in range(3):
            assert names(second.get(PAGE)) == (["a", "b"], False)
            assert names(first.get(PAGE)) == (["a", "b"], False)
        said = capfd.readouterr().err
        assert said.count("the cache does not answer") == 2, said  # once for each process

        redis.start()
        time.sleep(0.25)
        assert names(second.get(PAGE)) == (["a", "b"], False)
        assert names(second.get(PAGE)) == (["a", "b"], True)
        assert capfd.readouterr().err.count("the cache answers again") == 1


def test_a_wrong_address_of_the_cache_is_named_without_its_password() -> None:
    """When the server starts, and not with the first request."""
    with pytest.raises(InvalidSetting, match="QFORGE_CACHE_URL") as error:
        SharedPages(Secret("http://:hunter2@cache"), "x", 60)
    assert "hunter2" not in str(error.value)
