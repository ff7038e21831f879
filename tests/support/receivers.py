"""A mail server and a receiver of webhooks on this machine, which keep what they are sent."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.support.certificates import make_certificate


class Mailbox:
    """What a mail server was given.

    answer: what it says to the next mails. before: called with each mail before it is kept.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 taken"
        self.before: Callable[[], object] = lambda: None
        self.port = 0

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        """Take a mail, as aiosmtpd asks."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.before()
        if self.answer.startswith("250"):
            self.mails.append(mail)
        return self.answer

    @property
    def subjects(self) -> list[str]:
        """The subjects of all mails."""
        return [str(mail["Subject"]).strip() for mail in self.mails]


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    password: str | None = None,
    port: int | None = None,
    utf8: bool = True,
) -> Iterator[Mailbox]:
    """Run a mail server at 127.0.0.1.

    tls: it offers STARTTLS. password: of the user forge. utf8: whether it takes any address.
    """
    mailbox = Mailbox()
    mailbox.port = port or free_port()

    def check(_s: SMTP, _ss: object, _e: object, _m: str, given: Any) -> AuthResult:
        right = (given.login, given.password) == (b"forge", (password or "").encode())
        return AuthResult(success=right, handled=False)

    login: dict[str, Any] = (
        {} if password is None else {"authenticator": check, "auth_required": True}
    )
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        tls_context=tls,
        enable_SMTPUTF8=utf8,
        **login,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


class Posts:
    """What a receiver of webhooks was posted: headers and body. `status`: of its answers."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.url = ""


@contextlib.contextmanager
def webhook_receiver(*, tls: ssl.SSLContext | None = None) -> Iterator[Posts]:
    """Run a receiver of webhooks at 127.0.0.1, by HTTPS where `tls` is given."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as http.server asks
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.received.append((dict(self.headers), body))
            self.send_response(posts.status)
            for name, value in {"Content-Length": "2", **posts.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that trusts it not

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        posts.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook?key=s3cret"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield posts
        finally:
            server.shutdown()
            thread.join()


def trusted(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the context of a server at 127.0.0.1, and that of a client that trusts it."""
    certificate, key = make_certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
