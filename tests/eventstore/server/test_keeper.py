"""A server that lingers: there for the next process, and gone with all that belongs to it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from quantum_forge.eventstore.base.errors import ServerInUse
from quantum_forge.eventstore.server import keeper
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import Qforge, command_line
from tests.support.server_clients import Client, postmaster, query, wait_for

LONG = 600.0
"""Seconds; no test waits for them."""


def keepers(home: Path) -> list[int]:
    """Return the numbers of the processes that keep the server of this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        is_keeper = any(word.endswith(b"keeper.py") for word in words)
        if is_keeper and os.fsencode(home / "postgres") in words:
            found.append(int(process.name))
    return found


def is_gone(home: Path) -> bool:
    """Return whether neither a server nor a keeper nor a socket is left."""
    server = EmbeddedServer(home)
    sockets = list(server.socket_directory.glob(".s.PGSQL*"))
    return not (keepers(home) or sockets or server.is_running())


def test_the_next_process_finds_the_server_running(home: Path) -> None:
    """The same server serves one process after another, and one keeper watches it."""
    first = Client(home, "close", linger=LONG)
    first.wait_until_using()
    pid = postmaster(home)
    first.leave()
    assert EmbeddedServer(home).is_running()

    second = Client(home, "close", linger=LONG)
    second.wait_until_using()
    assert postmaster(home) == pid
    assert len(keepers(home)) == 1
    second.leave()

    assert EmbeddedServer(home).stop()
    wait_for(lambda: is_gone(home))


@pytest.mark.parametrize("end", ["close", "kill"])
def test_nothing_is_left_when_the_time_is_over(home: Path, end: str) -> None:
    """However the last process ended: server, keeper and socket go, by themselves."""
    client = Client(home, "close", linger=0.2)
    client.wait_until_using()
    time.sleep(1.2)  # several looks of the keeper, who must see that the server is in use
    assert EmbeddedServer(home).is_running()

    client.kill() if end == "kill" else client.leave()

    wait_for(lambda: is_gone(home))


def test_a_killed_process_does_not_count_while_another_works(home: Path) -> None:
    """The keeper waits for the last one, and for no killed one."""
    killed, other = Client(home, linger=0.2), Client(home, "close", linger=0.2)
    killed.wait_until_using()
    other.wait_until_using()

    killed.kill()
    time.sleep(1.2)
    assert EmbeddedServer(home).is_running()
    other.leave()

    wait_for(lambda: is_gone(home))


def test_ctrl_c_at_a_process_reaches_neither_server_nor_keeper(home: Path) -> None:
    """They are in sessions of their own, and hold none of its pipes."""
    client = Client(home, linger=LONG)
    client.wait_until_using()
    pid = postmaster(home)

    client.interrupt()

    assert EmbeddedServer(home).is_running()
    assert postmaster(home) == pid
    (process,) = keepers(home)
    assert os.getsid(process) not in (os.getsid(0), os.getsid(pid))
    assert EmbeddedServer(home).stop()
    wait_for(lambda: is_gone(home))


def test_processes_that_come_while_the_server_stops_get_one_that_runs(home: Path) -> None:
    """No start fails, whatever moment of the keeper's end it meets."""
    failures: list[BaseException] = []

    def come_and_go() -> None:
        for number in range(4):
            # Around the moment at which the keeper looks and finds the time over.
            try:
                with EmbeddedServer(home, linger=0.01) as server:
                    assert query(server, "SELECT 42") == 42
            except BaseException as error:
                failures.append(error)
                raise
            time.sleep(0.35 + 0.1 * number)

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    wait_for(lambda: is_gone(home))


def test_many_processes_at_once_have_one_keeper(home: Path) -> None:
    """The lock of the keeper goes to one, and the rest use the server it watches."""
    clients = [Client(home, "close", linger=LONG) for _ in range(4)]
    for client in clients:
        client.wait_until_using()

    assert len(keepers(home)) == 1
    for client in clients:
        client.leave()
    assert EmbeddedServer(home).stop()
    wait_for(lambda: is_gone(home))


def test_a_killed_keeper_is_replaced_by_the_next_process(home: Path) -> None:
    """The server outlives it, and does not stay for ever."""
    first = Client(home, "close", linger=LONG)
    first.wait_until_using()
    pid = postmaster(home)
    (process,) = keepers(home)
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: not keepers(home))
    first.leave()

    second = Client(home, "close", linger=0.2)
    second.wait_until_using()
    assert postmaster(home) == pid
    second.leave()

    wait_for(lambda: is_gone(home))


def test_a_killed_server_takes_its_keeper_with_it(home: Path) -> None:
    """A keeper of nothing ends; the next process starts both."""
    client = Client(home, "close", linger=LONG)
    client.wait_until_using()
    client.leave()
    os.kill(postmaster(home), signal.SIGKILL)
    wait_for(lambda: not keepers(home))

    with EmbeddedServer(home, linger=0.2) as server:
        assert query(server, "SELECT 1") == 1
        assert len(keepers(home)) == 1

    wait_for(lambda: is_gone(home))


def test_a_terminated_keeper_stops_the_server_at_once(home: Path) -> None:
    """SIGTERM, as at the shutdown of the machine, is an orderly end before the time."""
    client = Client(home, "close", linger=LONG)
    client.wait_until_using()
    client.leave()
    (process,) = keepers(home)

    os.kill(process, signal.SIGTERM)

    wait_for(lambda: is_gone(home))


def test_the_last_one_without_a_linger_time_stops_a_lingering_server(home: Path) -> None:
    """With 0 the server is gone when `close` returns, whoever started it."""
    client = Client(home, "close", linger=LONG)
    client.wait_until_using()
    client.leave()

    with EmbeddedServer(home) as server:
        assert query(server, "SELECT 1") == 1

    assert not EmbeddedServer(home).is_running()
    wait_for(lambda: is_gone(home))


def test_without_a_keeper_the_server_does_not_linger(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no process can be started that would stop it, the last one out does."""
    monkeypatch.setattr(keeper, "__file__", "/no/such/keeper.py")

    with EmbeddedServer(home, linger=LONG) as server:
        assert query(server, "SELECT 1") == 1

    wait_for(lambda: is_gone(home))


def test_a_server_in_use_is_stopped_by_force_alone(home: Path) -> None:
    """`stop` does not break another process's work unless asked to."""
    client = Client(home, linger=LONG)
    client.wait_until_using()

    with pytest.raises(ServerInUse, match=r"in use by another process; .*--force"):
        EmbeddedServer(home).stop()
    assert EmbeddedServer(home).is_running()

    assert EmbeddedServer(home).stop(force=True)
    wait_for(lambda: is_gone(home))
    assert not EmbeddedServer(home).stop()
    client.kill()


def test_a_server_of_another_host_is_left_running(home: Path) -> None:
    """A keeper whose directory another host took over ends without a signal to anybody."""
    client = Client(home, "close", linger=0.2)
    client.wait_until_using()
    (home / "postgres/server.lock").write_text("node17")
    client.leave()

    wait_for(lambda: not keepers(home))

    assert EmbeddedServer(home).is_running()
    (home / "postgres/server.lock").write_text(socket.gethostname())


def test_the_socket_directory_elsewhere_goes_too(own_home: Path) -> None:
    """A path too long for a socket has it in /tmp, where nothing stays."""
    odd = own_home.with_name("z" * 120)
    own_home.rename(odd)
    with EmbeddedServer(odd, linger=0.2) as server:
        place = server.socket_directory
        assert place != server.directory
        assert place.exists()

    wait_for(lambda: not place.exists())
    wait_for(lambda: not keepers(odd))


def test_commands_share_a_server_that_status_shows_and_stop_stops(
    qforge_here: Qforge, tmp_path: Path
) -> None:
    """What a user sees of it: nothing but a second command that is fast."""
    variables = {"QFORGE_SERVER_LINGER": "600", "DATABASE_URL": ""}
    home = tmp_path / "home"

    def server(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return qforge_here("server", *arguments, env=variables, status=status)

    assert ": not running" in server("status").stdout
    assert "Not running" in server("stop").stderr
    assert not (home / "postgres/data").exists()

    another_process = command_line(tmp_path, QFORGE_SERVER_LINGER="600")
    another_process("db", "current")
    pid = postmaster(home)
    another_process("db", "current")

    assert postmaster(home) == pid
    wait_for(lambda: "not in use, stops in" in server("status").stdout)
    assert '"is_running":true' in server("status", "--json").stdout
    with EmbeddedServer(home, linger=600):
        assert ", in use" in server("status").stdout
        assert "--force" in server("stop", status=2).stderr
    assert "Stopped" in server("stop").stderr
    wait_for(lambda: is_gone(home))


def test_a_negative_linger_time_is_one_clear_line(tmp_path: Path) -> None:
    """Zero is allowed; what is no number of seconds is not."""
    done = command_line(tmp_path, QFORGE_SERVER_LINGER="-1")("status", status=2)

    assert "QFORGE_SERVER_LINGER must be a number of seconds from 0 on, not '-1'" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in another user's directory")
def test_root_keeps_another_users_server_as_that_user(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper in somebody's directory has no more rights than they have."""
    python = "/usr/bin/python3"
    reach = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python]
    code = f"open({keeper.__file__!r})"
    if subprocess.run([*reach, "-c", code], capture_output=True, check=False).returncode:
        pytest.skip("the system's Python or this checkout is out of an ordinary user's reach")
    monkeypatch.setattr(sys, "executable", python)
    own_home.parent.chmod(0o755)
    for path in (own_home, *own_home.rglob("*")):
        os.chown(path, 65534, 65534)

    with EmbeddedServer(own_home, linger=0.2) as server:
        assert query(server, "SELECT 1") == 1
        (process,) = keepers(own_home)
        assert Path(f"/proc/{process}").stat().st_uid == 65534

    wait_for(lambda: is_gone(own_home))
