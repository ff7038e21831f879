"""A proxy on the loopback that can fall silent, as a network does that swallows packets."""

import contextlib
import random
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy.engine import URL

_CHUNK = 65536


class Proxy:
    """Forwards a port to a server, at its Unix socket or its port, in a thread.

    A connection that is silenced stays open and forwards nothing more, in either direction.

    Args:
        url: of the server.
        port: to listen at; 0 for a free one.
        cuts: after so many answers of the server each of the first connections is closed.
    """

    def __init__(self, url: URL, port: int = 0, cuts: Iterable[int] = ()) -> None:
        self.cuts = list(cuts)
        self._answers_left: dict[socket.socket, int] = {}
        self._server = _server_of(url)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silent: list[socket.socket] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.url = url.difference_update_query(["host", "port"]).set(
            host="127.0.0.1", port=self.port
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def silence(self) -> int:
        """Forward nothing more on the connections that there are; returns how many."""
        with self._lock:
            for each in self._peers:
                self._selector.unregister(each)
                self._silent.append(each)
            count = len(self._peers) // 2
            self._peers.clear()
        return count

    def cut(self, chance: random.Random) -> None:
        """Close one of the connections."""
        with self._lock:
            if self._peers:
                self._end(chance.choice(list(self._peers)))

    def half_close(self, chance: random.Random) -> None:
        """Tell one side of a connection that nothing more will come; it can go on writing."""
        with self._lock:
            if self._peers:
                with contextlib.suppress(OSError):
                    chance.choice(list(self._peers)).shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the proxy and every connection."""
        self._ended.set()
        self._thread.join()
        for each in [*self._peers, *self._silent, self._listener]:
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(timeout=0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._peers:
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        is_local = isinstance(self._server, str)
        server = socket.socket(socket.AF_UNIX if is_local else socket.AF_INET)
        try:
            server.connect(self._server)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)
        if self.cuts:
            self._answers_left[server] = self.cuts.pop(0)

    def _forward(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            if (content := source.recv(_CHUNK)) and not self._is_cut(source):
                target.sendall(content)
                return
        except OSError:
            pass
        self._end(source)

    def _end(self, source: socket.socket) -> None:
        for each in (source, self._peers[source]):
            self._selector.unregister(each)
            del self._peers[each]
            each.close()

    def _is_cut(self, source: socket.socket) -> bool:
        if (left := self._answers_left.get(source)) is None:
            return False
        self._answers_left[source] = left - 1
        return left == 0


def _server_of(url: URL) -> str | tuple[str, int]:
    """The path of a server's socket, or its host and port."""
    directory = url.query.get("host")
    if isinstance(directory, str):
        return str(Path(directory) / f".s.PGSQL.{url.query.get('port', url.port or 5432)}")
    assert url.host is not None
    assert url.port is not None
    return url.host, url.port


@contextlib.contextmanager
def proxy_of(url: URL, port: int = 0, cuts: Iterable[int] = ()) -> Iterator[Proxy]:
    """A proxy in front of a server, for the length of a test."""
    proxy = Proxy(url, port, cuts)
    try:
        yield proxy
    finally:
        proxy.close()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
