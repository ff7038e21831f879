"""Mails: a message as plain text and HTML, given to an SMTP server."""

import smtplib
import ssl
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from uuid import UUID

from quantum_forge.notifications.attempt import NotSent
from quantum_forge.notifications.messages import Message
from quantum_forge.notifications.settings import MailServer

TIMEOUT = 30.0
"""Seconds that the server may take for each answer."""


def message_id(server: MailServer, id_: UUID) -> str:
    """Return the Message-ID of a notification: the same each time that it is sent."""
    domain = parseaddr(server.sender)[1].rpartition("@")[2]
    return f"<{id_}@{domain}>"


def compose(
    server: MailServer, to: str, message: Message, *, id_: UUID, at: datetime
) -> EmailMessage:
    """Return a mail.

    Args:
        server: whose sender it names.
        to: address of the user.
        message: what it says.
        id_: of the notification.
        at: when the notification was queued.

    Raises:
        NotSent: when the address is none.
    """
    try:
        address = Address(addr_spec=to)
    except (ValueError, IndexError, HeaderParseError):
        raise NotSent("the user's address is no email address", is_final=True) from None
    mail = EmailMessage()
    mail["From"] = server.sender
    mail["To"] = address
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id(server, id_)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def send(server: MailServer, mail: EmailMessage, *, context: ssl.SSLContext | None = None) -> None:
    """Give a mail to the server.

    Args:
        server: to which.
        mail: that `compose` made.
        context: whom to trust; the authorities of the system unless given.

    Raises:
        NotSent: when the server did not take it, or whether it did is unknown.
    """
    context = context or ssl.create_default_context()
    to = str(mail["To"])
    try:
        with _session(server, context) as session:
            _give(session, mail, to)
    except smtplib.SMTPRecipientsRefused as refused:
        code, answer = next(iter(refused.recipients.values()))
        raise NotSent(_said(code, answer, to), is_final=_is_final(code)) from None
    except smtplib.SMTPAuthenticationError as error:
        reason = f"the login was refused: {_said(error.smtp_code, error.smtp_error, to)}"
        raise NotSent(reason, concerns_all=True) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        reason = _said(error.smtp_code, error.smtp_error, to)
        raise NotSent(reason, is_final=_is_final(error.smtp_code)) from None
    except smtplib.SMTPNotSupportedError as error:
        raise NotSent(f"{server.host}: {error}", concerns_all=True) from None
    except (smtplib.SMTPException, OSError) as error:
        reason = f"{server.host}:{server.port} cannot be used: {error}"
        raise NotSent(reason.replace(to, "the user"), concerns_all=True) from None


def _session(server: MailServer, context: ssl.SSLContext) -> smtplib.SMTP:
    if server.is_tls:
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT, context=context
        )
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
    try:
        session.ehlo_or_helo_if_needed()
        offered = session.has_extn("starttls")
        if not server.is_tls and (server.starttls or (server.starttls is None and offered)):
            session.starttls(context=context)  # SMTPNotSupportedError where it is not offered
        if server.user is not None and server.password is not None:
            session.login(server.user, server.password.reveal())
    except BaseException:
        session.close()
        raise
    return session


def _give(session: smtplib.SMTP, mail: EmailMessage, to: str) -> None:
    try:
        session.send_message(mail, to_addrs=[to])
    except smtplib.SMTPNotSupportedError:
        if to.isascii():
            raise
        # One user's choice, which must not keep the mails of the others.
        raise NotSent(
            "the mail server takes ASCII addresses only (no SMTPUTF8), and the user's is none",
            is_final=True,
        ) from None


def _is_final(code: int) -> bool:
    return code // 100 == 5


def _said(code: int, answer: bytes | str, to: str) -> str:
    """What a server answered, in one line that does not name the user."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return f"{code} {' '.join(text.split())}".replace(to, "the user")[:500]
