"""Mails and webhooks by themselves: encryption, refusals, and where no request goes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import msgspec
import pytest

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.notifications import mail, webhook
from quantum_forge.notifications.attempt import NotSent
from quantum_forge.notifications.messages import Message, render
from quantum_forge.notifications.settings import MailServer, load_notify_settings
from quantum_forge.schema.domains.notifications import (
    Matter,
    NotificationChannel,
    NotificationKind,
)
from tests.support.receivers import free_port, mail_server, trusted, webhook_receiver

ID = UUID("00000000-0000-4000-8000-000000000001")
NOW = datetime(2026, 11, 16, tzinfo=UTC)
INWARD = (
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "2002:7f00:1::",
    "2001:0:7f00:1::1",
    "fec0::1",
    "fd00::1",
    "fe80::1",
)
"""IPv6 addresses of networks of one's own, and such that are a way to an IPv4 address of one."""
MESSAGE = Message(subject="s", text="t\n", html="<p>t</p>\n", slack="t")


def hostile(text: str) -> Matter:
    """A matter whose texts others chose."""
    return Matter(
        event_count=2,
        first_event_id=ID,
        first_position=1,
        last_position=2,
        tally={text: 2},
        lines=[text],
        batches=[text],
    )


def server_at(port: int, **given: object) -> MailServer:
    """A mail server of this machine."""
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "is_tls": False,
        "starttls": None,
        "sender": "Forge <forge@lab.example>",
    }
    return msgspec.convert({**settings, **given}, MailServer, dec_hook=lambda _, value: value)


def test_a_mail_goes_out_encrypted_where_that_is_asked_for(tmp_path: Path) -> None:
    """With a login; no server without STARTTLS, with an unknown authority, or that refuses it.

    The reason names none of the secrets, and nobody's address.
    """
    of_server, of_client = trusted(tmp_path)
    composed = mail.compose(server_at(1), "ada@example.org", MESSAGE, id_=ID, at=NOW)
    password = Secret("hunter2!")
    with mail_server(tls=of_server, password="hunter2!") as mailbox, mail_server() as plain:
        login = server_at(mailbox.port, starttls=True, user="forge", password=password)
        mail.send(login, composed, context=of_client)

        (taken,) = mailbox.mails
        assert taken["Message-ID"] == f"<{ID}@lab.example>"
        assert taken["Auto-Submitted"] == "auto-generated"
        assert [part.get_content_type() for part in taken.iter_parts()] == [
            "text/plain",
            "text/html",
        ]

        wrong = msgspec.structs.replace(login, password=Secret("else"))
        refused = [
            (wrong, of_client),
            (server_at(plain.port, starttls=True), of_client),
            (login, None),
            (server_at(free_port()), of_client),
        ]
        for server, context in refused:
            with pytest.raises(NotSent) as error:
                mail.send(server, composed, context=context)
            assert error.value.concerns_all
            assert not error.value.is_final
            assert "hunter2" not in str(error.value)
            assert "else" not in str(error.value)
        assert plain.mails == []

        for answer, is_final in {"550 no ada@example.org here": True, "451 later": False}.items():
            plain.answer = answer
            with pytest.raises(NotSent) as error:
                mail.send(server_at(plain.port), composed)
            assert error.value.is_final is is_final
            assert "ada@" not in error.value.reason


def test_the_address_of_one_user_keeps_no_mail_of_another() -> None:
    """A server without SMTPUTF8 refuses it: that mail is given up, and the others are sent."""
    with mail_server(utf8=False) as mailbox:
        server = server_at(mailbox.port)
        foreign = mail.compose(server, "ada@b\u00fccher.example", MESSAGE, id_=ID, at=NOW)
        with pytest.raises(NotSent) as error:
            mail.send(server, foreign)
        assert error.value.is_final
        assert not error.value.concerns_all
        mail.send(server, mail.compose(server, "ada@example.org", MESSAGE, id_=ID, at=NOW))
        assert len(mailbox.mails) == 1


@pytest.mark.parametrize("kind", list(NotificationKind))
def test_texts_of_others_are_texts_in_each_form(kind: NotificationKind) -> None:
    """No line of a header, no tag, no mention of a channel, no command of a shell."""
    text = 'x\r\nBcc: eve@example.org <!channel> <script>alert("1")</script> $(reboot) \x1b[2J'
    message = render(kind, NotificationChannel.EMAIL, hostile(text))
    composed = mail.compose(server_at(1), "ada@example.org", message, id_=ID, at=NOW)

    assert composed["Bcc"] is None
    assert "<script" not in message.html
    assert "<!channel" not in message.slack
    assert "\x1b" not in message.text + message.html + message.slack
    assert message == render(kind, NotificationChannel.EMAIL, hostile(text))
    with pytest.raises(NotSent):
        mail.compose(server_at(1), "ada,eve@example.org", message, id_=ID, at=NOW)


def test_a_webhook_goes_to_public_addresses_by_https_and_follows_no_redirect(
    tmp_path: Path,
) -> None:
    """What a user gives as an address reaches nothing of the network that the notifier is in."""
    of_server, of_client = trusted(tmp_path)
    with webhook_receiver() as plain, webhook_receiver(tls=of_server) as encrypted:
        webhook.post(Secret(plain.url), MESSAGE, id_=ID, private=True)
        webhook.post(Secret(encrypted.url), MESSAGE, id_=ID, private=True, context=of_client)
        for posts in (plain, encrypted):
            headers, body = posts.received.pop()
            assert headers["Idempotency-Key"] == str(ID)
            assert msgspec.json.decode(body) == {"text": "t"}

        forbidden = [
            (plain.url, False),
            (encrypted.url, False),
            ("https://10.0.0.1/", False),
            ("https://169.254.169.254/latest/meta-data", False),
            ("https://[::1]/", False),
            ("https://[::ffff:127.0.0.1]/", False),
            *((f"https://[{address}]/", False) for address in INWARD),
            ("https://localhost/", False),
            ("https://0x7f000001/", False),
            ("http://hooks.example/", True),
            ("file:///etc/passwd", True),
            ("https://user:pw@hooks.example/", True),
            ("https://hooks.example/a b", True),
            ("https:///x", True),
            ("https://[", True),
        ]
        for url, private in forbidden:
            with pytest.raises(NotSent) as error:
                webhook.post(Secret(url), MESSAGE, id_=ID, private=private, context=of_client)
            assert error.value.is_final, url
            assert "s3cret" not in error.value.reason

        with pytest.raises(NotSent) as error:
            webhook.post(Secret(encrypted.url), MESSAGE, id_=ID, private=True)  # unknown authority
        assert not error.value.is_final
        assert plain.received == encrypted.received == []

        plain.headers = {"Location": encrypted.url, "Retry-After": "90"}
        answers = {302: (True, 90), 404: (True, 90), 429: (False, 90), 500: (False, 90)}
        for status, (is_final, wait) in answers.items():
            plain.status = status
            with pytest.raises(NotSent) as error:
                webhook.post(Secret(plain.url), MESSAGE, id_=ID, private=True)
            assert error.value.is_final is is_final
            assert error.value.retry_after == (None if status == 302 else wait)
        assert encrypted.received == []


def test_a_webhook_with_many_addresses_takes_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose name has a thousand addresses that do not answer holds no other message up."""
    clock, tried = [0.0], list[float]()

    def connect(_: object, seconds: float) -> NoReturn:
        tried.append(seconds)
        clock[0] += seconds
        raise TimeoutError

    addresses = [
        (2, 1, 6, "", (f"8.8.{number // 250}.{number % 250}", 443)) for number in range(1000)
    ]
    monkeypatch.setattr("quantum_forge.notifications.webhook.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "quantum_forge.notifications.webhook.socket.getaddrinfo", lambda *_, **__: addresses
    )
    monkeypatch.setattr("quantum_forge.notifications.webhook.socket.create_connection", connect)
    with pytest.raises(NotSent, match="TimeoutError") as error:
        webhook.post(Secret("https://hooks.example/"), MESSAGE, id_=ID)
    assert not error.value.is_final
    assert sum(tried) <= webhook.DEADLINE


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"QFORGE_SMTP_URL": "http://mail.example"}, "QFORGE_SMTP_URL"),
        ({"QFORGE_SMTP_URL": "smtp://mail.example:port"}, "QFORGE_SMTP_URL"),
        ({"QFORGE_SMTP_URL": "smtp://ada@mail.example"}, "QFORGE_SMTP_URL"),
        ({"QFORGE_SMTP_URL": "smtp://ada:hunter2@mail.example?tls=no"}, "QFORGE_SMTP_URL"),
        ({"QFORGE_SMTP_URL": "smtp://mail.example?tls=maybe"}, "QFORGE_SMTP_URL"),
        ({"QFORGE_SMTP_URL": "smtp://mail.example"}, "QFORGE_SMTP_FROM"),
        (
            {"QFORGE_SMTP_URL": "smtp://mail.example", "QFORGE_SMTP_FROM": "a\nBcc: b@c"},
            "QFORGE_SMTP_FROM",
        ),
        ({"QFORGE_NOTIFY_JOIN_SECONDS": "-1"}, "QFORGE_NOTIFY_JOIN_SECONDS"),
        ({"QFORGE_NOTIFY_PRIVATE_WEBHOOKS": "maybe"}, "QFORGE_NOTIFY_PRIVATE_WEBHOOKS"),
    ],
)
def test_a_wrong_setting_is_named_and_never_its_password(
    variables: dict[str, str], named: str, tmp_path: Path
) -> None:
    """One clear error."""
    with pytest.raises(InvalidSetting, match=named) as error:
        load_notify_settings(variables, tmp_path / ".env")
    assert "hunter2" not in str(error.value)


def test_a_mail_server_is_encrypted_unless_it_is_this_machine(tmp_path: Path) -> None:
    """As its URL says; the password may be apart, and no text shows it."""
    sender = {"QFORGE_SMTP_FROM": "forge@lab.example", "QFORGE_SMTP_PASSWORD": "hunter2"}
    found = [
        load_notify_settings({"QFORGE_SMTP_URL": url, **sender}, tmp_path / ".env").mail
        for url in (
            "smtp://ada@mail.example",
            "smtps://ada@mail.example",
            "smtp://ada@localhost:25",
        )
    ]

    assert [each and (each.port, each.is_tls, each.starttls) for each in found] == [
        (587, False, True),
        (465, True, True),
        (25, False, None),
    ]
    assert "hunter2" not in repr(found)
    assert load_notify_settings({}, tmp_path / ".env").mail is None
