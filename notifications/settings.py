"""Settings of notifications: the mail server, webhooks, for how long failures are joined."""

import os
from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.variables import is_yes, seconds_of, variables_of

URL, PASSWORD, FROM = "QFORGE_SMTP_URL", "QFORGE_SMTP_PASSWORD", "QFORGE_SMTP_FROM"

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """The server that takes mails.

    is_tls: encrypted from the first byte. starttls: whether the session must be encrypted before
    anything is sent; None: it is where the server offers it, as on this machine. sender: address of
    the mails, with or without a name.
    """

    host: str
    port: int
    is_tls: bool
    starttls: bool | None
    user: str | None = None
    password: Secret | None = None
    sender: str


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how users are notified.

    mail: None: no mails are sent. join_seconds: for which failures are gathered into one message.
    private_webhooks: whether webhooks may be at private addresses, such as those of this machine.
    """

    mail: MailServer | None = None
    join_seconds: float = 60.0
    private_webhooks: bool = False


def load_notify_settings(
    environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")
) -> NotifySettings:
    """Read the settings; an empty variable counts as absent; the environment wins over the file.

    Raises:
        InvalidSetting, DotenvSyntaxError: names the variable.
    """
    environ = os.environ if environ is None else environ
    variables = variables_of(environ, dotenv)
    private = is_yes(variables, "QFORGE_NOTIFY_PRIVATE_WEBHOOKS", default=False)
    return NotifySettings(
        mail=_mail_server(variables),
        join_seconds=seconds_of(variables, "QFORGE_NOTIFY_JOIN_SECONDS", 60.0, may_be_zero=True),
        private_webhooks=private,
    )


def _mail_server(variables: Mapping[str, str]) -> MailServer | None:
    if (written := variables.get(URL)) is None:
        return None
    expected = "must be smtp://USER@HOST:587 or smtps://USER@HOST:465"
    try:
        url = urlsplit(written)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    # The text of the setting may have a password: no message repeats it.
    if not host or url.scheme not in ("smtp", "smtps") or url.path not in ("", "/"):
        raise InvalidSetting(URL, f"{expected}, with a host")
    is_tls = url.scheme == "smtps"
    query = parse_qs(url.query, keep_blank_values=True)
    plain = query.pop("tls", None)
    if query or url.fragment or plain not in (None, ["no"]) or (plain and is_tls):
        raise InvalidSetting(URL, f"{expected}; smtp:// takes ?tls=no and nothing else after it")
    user = unquote(url.username) if url.username else None
    password = variables.get(PASSWORD) or (unquote(url.password) if url.password else None)
    if (user is None) != (password is None):
        raise InvalidSetting(
            URL, f"needs a user and a password, or neither: the password is best in {PASSWORD}"
        )
    if user is not None and plain and host not in LOOPBACK:
        raise InvalidSetting(URL, "sends no password without TLS: leave out ?tls=no, or the user")
    sender = variables.get(FROM)
    if sender is None:
        raise InvalidSetting(FROM, "must be the address of the sender, as forge@lab.example")
    name, address = parseaddr(sender)
    try:
        if not sender.isprintable():
            raise ValueError
        sender = str(Address(name, addr_spec=address))
    except (ValueError, IndexError):
        raise InvalidSetting(
            FROM, f"must be an email address, as Forge <forge@lab.example>, not {sender!r}"
        ) from None
    starttls = None if host in LOOPBACK else True
    return MailServer(
        host=host,
        port=port or (465 if is_tls else 587),
        is_tls=is_tls,
        starttls=False if plain else starttls,
        user=user,
        password=None if password is None else Secret(password),
        sender=sender,
    )
