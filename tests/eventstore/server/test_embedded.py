"""The embedded server: private, shared, stopped by the last to leave, and never lost to a kill."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.database.engine import libpq_url
from quantum_forge.eventstore.server import embedded, unprivileged
from quantum_forge.eventstore.server.binaries import shipped_majors, tool_path
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from tests.conftest import IN_A_HURRY
from tests.support.server_clients import Client, new_server, postmaster, query, wait_for


def test_the_first_start_makes_a_utf8_database_without_a_port(tmp_path: Path) -> None:
    """Nothing must be installed or configured, and nothing listens on the network."""
    with new_server(tmp_path) as server:
        assert query(server, "SELECT current_database()") == "qforge"
        assert query(server, "SHOW server_encoding") == "UTF8"
        assert query(server, "SHOW listen_addresses") == ""
        assert query(server, "SHOW max_connections") == "200"
        assert query(server, "SHOW server_version_num") == str(query_version(18))

    assert not server.is_running()


def query_version(major: int) -> int:
    """Return the version number of the shipped programs of a major version."""
    text = subprocess.run(
        [str(shipped_majors()[major] / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return major * 10_000 + int(text.strip().split(".")[-1])


def test_the_callers_libpq_variables_change_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$PGPORT and the like are for other servers."""
    for name in ("PGPORT", "PGHOST", "PGDATA", "PGUSER", "PGDATABASE"):
        monkeypatch.setenv(name, "1")

    with EmbeddedServer(home) as server:
        assert query(server, "SELECT current_database()") == "qforge"


def test_nobody_else_can_reach_the_server(home: Path) -> None:
    """Directory, data, socket, log and locks are closed to group and others."""
    with EmbeddedServer(home) as server:
        found = [server.directory, *server.directory.iterdir(), server.socket_directory]
        assert server.socket_directory / ".s.PGSQL.5432" in found
        for path in found:
            assert path.lstat().st_mode & 0o077 == 0, path


def test_a_directory_left_open_is_closed(own_home: Path) -> None:
    """Whatever a backup tool did to its mode, the next start puts it right."""
    (own_home / "postgres").chmod(0o755)

    with EmbeddedServer(own_home) as server:
        assert server.directory.stat().st_mode & 0o777 == 0o700


def test_the_last_one_out_stops_the_server(home: Path) -> None:
    """Who leaves early leaves it running for the others, in whatever order they leave."""
    clients = [Client(home), Client(home, "close"), Client(home)]
    for client in clients:
        client.wait_until_using()

    clients[0].leave()
    assert EmbeddedServer(home).is_running()
    clients[1].leave()
    assert EmbeddedServer(home).is_running()
    clients[2].leave()
    assert not EmbeddedServer(home).is_running()


def test_a_killed_client_is_not_waited_for(home: Path) -> None:
    """A client killed with SIGKILL counts as gone: the next to leave stops the server."""
    killed, other = Client(home), Client(home)
    killed.wait_until_using()
    other.wait_until_using()

    killed.kill()
    assert EmbeddedServer(home).is_running()
    other.leave()

    assert not EmbeddedServer(home).is_running()


def test_the_only_client_killed_leaves_a_server_that_the_next_one_takes_over(home: Path) -> None:
    """The server outlives the kill; the next command uses it, and stops it."""
    killed = Client(home)
    killed.wait_until_using()
    first = postmaster(home)
    killed.kill()
    assert EmbeddedServer(home).is_running()

    with EmbeddedServer(home):
        assert postmaster(home) == first

    assert not EmbeddedServer(home).is_running()


def test_a_killed_server_starts_again_with_all_that_was_committed(home: Path) -> None:
    """SIGKILL leaves a stale postmaster.pid and a recovery to do; neither stands in the way."""
    server = EmbeddedServer(home)
    server.start()
    with psycopg.connect(libpq_url(server.url())) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    os.kill(postmaster(home), signal.SIGKILL)

    with EmbeddedServer(home) as again:
        assert query(again, "SELECT answer FROM kept") == 42
        # The user from before the kill has not left yet.
        server.close()
        assert again.is_running()
    assert not server.is_running()


def test_a_stale_number_of_another_living_process_is_ignored(home: Path) -> None:
    """After a reboot the number in postmaster.pid may be anybody's, such as this test's."""
    stale = home / "postgres/data/postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{home / 'postgres/data'}\n1\n5432\n\n\n\n")
    stale.chmod(0o600)

    with EmbeddedServer(home) as server:
        assert query(server, "SELECT 1") == 1


def test_ctrl_c_does_not_reach_the_server(home: Path) -> None:
    """The server is in a session of its own, and holds none of its starter's pipes."""
    with EmbeddedServer(home):
        assert os.getsid(postmaster(home)) != os.getsid(0)

    client = Client(home)
    client.wait_until_using()
    first = postmaster(home)
    client.kill()
    assert client.process.stdout is not None
    assert client.process.stdout.closed  # communicate() read to the end while the server ran
    assert EmbeddedServer(home).is_running()
    assert postmaster(home) == first


def test_many_first_starts_at_once_make_one_server(tmp_path: Path) -> None:
    """Whoever comes first makes it; the others wait."""
    clients = [Client(tmp_path) for _ in range(4)]
    for client in clients:
        client.wait_until_using()
    for client in clients:
        client.leave()

    assert not EmbeddedServer(tmp_path).is_running()
    log = (tmp_path / "postgres/server.log").read_text()
    assert log.count("starting PostgreSQL") == 1


def test_an_interrupted_first_start_is_done_again(own_home: Path) -> None:
    """A half-made data directory never gets the name of a whole one."""
    data = own_home / "postgres/data"
    half = own_home / "postgres/data.new"
    data.rename(half)
    (half / "PG_VERSION").unlink()

    with new_server(own_home) as server:
        assert query(server, "SELECT 1") == 1
    assert not half.exists()


@pytest.mark.parametrize("name", ["x" * 120, "with,comma", "with space 'and' quote"])
def test_any_path_will_do(own_home: Path, name: str) -> None:
    """A path too long for a socket, or of odd characters, gets a private one elsewhere or works."""
    odd = own_home.with_name(name)
    own_home.rename(odd)

    with EmbeddedServer(odd) as server:
        assert query(server, "SELECT 1") == 1
        assert server.socket_directory.lstat().st_mode & 0o777 == 0o700
        assert server.is_running()
        elsewhere = server.socket_directory != server.directory
        place = server.socket_directory

    assert elsewhere == (name[0] == "x" or "," in name)
    assert place.exists() != elsewhere


def test_a_socket_directory_that_somebody_else_opened_is_refused(own_home: Path) -> None:
    """Whoever prepares the short directory in /tmp cannot get the server to use it."""
    odd = own_home.with_name("y" * 120)
    own_home.rename(odd)
    short = EmbeddedServer(odd).socket_directory
    short.rmdir()

    elsewhere = own_home.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    short.symlink_to(elsewhere)
    with pytest.raises(EmbeddedServerError, match="another user created it; set QFORGE_HOME"):
        EmbeddedServer(odd).start()
    short.unlink()

    short.mkdir(mode=0o755)
    with pytest.raises(EmbeddedServerError, match="another user created it"):
        EmbeddedServer(odd).start()
    short.rmdir()


def test_an_older_data_directory_is_run_by_its_own_version(tmp_path: Path) -> None:
    """An upgrade of this program strands no data: the wheel ships 16 as well."""
    with EmbeddedServer(tmp_path, major=16, settings=IN_A_HURRY) as old:
        assert str(query(old, "SHOW server_version")).startswith("16.")

    with new_server(tmp_path) as now:
        assert str(query(now, "SHOW server_version")).startswith("16.")


def test_a_data_directory_of_a_version_not_shipped_says_how_to_go_on(own_home: Path) -> None:
    """The error names the versions and the way: dump, move, load."""
    (own_home / "postgres/data/PG_VERSION").write_text("14\n")

    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL 14.*16 and 18.*pg_dump.*move"):
        EmbeddedServer(own_home).start()


def test_a_server_that_cannot_start_shows_its_log(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is in the error, in one line, and does not take five minutes to come."""
    monkeypatch.setattr(embedded, "RETRY_FOR", 0.1)
    configuration = own_home / "postgres/data/postgresql.conf"
    with configuration.open("a") as file:
        file.write("no_such_setting = on\n")

    with pytest.raises(
        EmbeddedServerError, match=r"stopped during its start.*no_such_setting"
    ) as caught:
        EmbeddedServer(own_home).start()

    assert "\n" not in str(caught.value)


def test_a_server_on_another_host_is_left_alone(home: Path) -> None:
    """On a shared file system the lock is seen, and the error names the host."""
    lock = home / "postgres/server.lock"
    lock.write_text("node17")
    holder = subprocess.Popen(["flock", str(lock), "sleep", "60"], start_new_session=True)
    wait_for(
        lambda: subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode != 0
    )

    with pytest.raises(EmbeddedServerError, match="running on the host node17; set QFORGE_HOME"):
        EmbeddedServer(home).start()

    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()


def test_root_follows_no_link_that_a_user_laid(own_home: Path, tmp_path: Path) -> None:
    """A lock file that is a link to somebody else's file is refused; that file stays as it is."""
    victim = tmp_path / "victim"
    lock = own_home / "postgres/lifecycle.lock"
    lock.unlink()
    lock.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        EmbeddedServer(own_home).start()

    assert not victim.exists()
    lock.unlink()


def test_closing_twice_and_starting_again_work(home: Path) -> None:
    """The server is a resource like any other."""
    server = EmbeddedServer(home)
    for _ in range(2):
        server.start()
        server.start()
        assert server.is_running()
        server.close()
        server.close()
        assert not server.is_running()


def test_a_fork_does_not_stop_its_parents_server(home: Path) -> None:
    """A forked child that ends, or closes what it inherited, leaves the server to its parent."""
    with EmbeddedServer(home) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert query(server, "SELECT 1") == 1

    assert not server.is_running()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_without_user_namespaces_becomes_a_system_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a container forbids namespaces, the data belongs to an ordinary system user."""
    monkeypatch.setattr(unprivileged, "_mapped", lambda: None)
    if not readable_by_all(tool_path("psql")):
        pytest.skip("the virtual environment is out of a system user's reach")

    with tempfile.TemporaryDirectory(prefix="qforge-home-") as directory:
        Path(directory).chmod(0o755)
        with new_server(Path(directory) / "home") as server:
            assert query(server, "SELECT 1") == 1
            assert server.data.stat().st_uid != 0
            assert server.directory.stat().st_mode & 0o777 == 0o700
        with new_server(Path(directory) / "home") as server:
            assert query(server, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_in_a_closed_home_is_told_where_to_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No parent directory is ever opened to others; the error says what to set instead."""
    monkeypatch.setattr(unprivileged, "_mapped", lambda: None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedServerError, match="set QFORGE_HOME to a place such as /var/lib"):
        new_server(closed / "home").start()

    assert closed.stat().st_mode & 0o777 == 0o700


def readable_by_all(path: Path) -> bool:
    """Return whether every folder on the way is open to all."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in path.parents)


def test_it_says_whether_a_place_cannot_be_written(tmp_path: Path) -> None:
    """A home that is a file, not a directory, is one clear line."""
    (tmp_path / "home").write_text("")

    with pytest.raises(EmbeddedServerError, match=r"cannot have its directory.*set QFORGE_HOME"):
        EmbeddedServer(tmp_path / "home").start()


def test_a_home_that_is_moved_while_its_server_runs_is_used_on() -> None:
    """Also where the path is so long that the socket is in a folder named after it."""
    folder = Path(tempfile.mkdtemp(prefix="qforge-test-"))
    before, after = folder / ("a" * 90), folder / ("b" * 90)
    try:
        with new_server(before) as first:
            number = query(first, "SELECT pg_postmaster_start_time()")
            before.rename(after)
            moved = EmbeddedServer(after, settings=IN_A_HURRY, start_timeout=20)
            with moved:
                assert query(moved, "SELECT pg_postmaster_start_time()") == number
                assert moved.state().is_running
            after.rename(before)
    finally:
        shutil.rmtree(folder)
