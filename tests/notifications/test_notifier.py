"""The notifier end to end: events of the log become mails and posts, each told of once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, select

from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.notifications import outbox
from quantum_forge.notifications.notifier import HasBegun, Notifier, NotifierRuns
from quantum_forge.notifications.outbox import Sent
from quantum_forge.notifications.settings import MailServer, NotifySettings
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchCompleted, BatchStarted, batch_id
from quantum_forge.schema.domains.calculations import (
    CalculationFailed,
    CalculationGivenUp,
    ErrorSeverity,
    ErrorType,
)
from quantum_forge.schema.domains.notifications import NotificationKind, notifications
from quantum_forge.schema.domains.users import Role
from tests.conftest import OTHERS_VARIABLES, Qforge
from tests.support.chemical_history import completed, created, record, started
from tests.support.receivers import Mailbox, Posts, mail_server, webhook_receiver
from tests.support.web import TENANT

KEY = Fernet.generate_key().decode()
PARAMETERS: dict[str, object] = {"method": "GFN2-xTB"}
BATCH = batch_id(TENANT, "night & day", PARAMETERS)


class Lab(msgspec.Struct):
    """Users by name, and where they are told."""

    engine: Engine
    users: dict[str, UUID]
    mailbox: Mailbox
    posts: Posts

    def settings(self, **given: object) -> NotifySettings:
        """Messages go to the receivers of this machine, joined at once."""
        mail = MailServer(
            host="127.0.0.1",
            port=self.mailbox.port,
            is_tls=False,
            starttls=None,
            sender="forge@lab.example",
        )
        settings = NotifySettings(mail=mail, join_seconds=0, private_webhooks=True)
        return msgspec.structs.replace(settings, **given)

    def notify(self, *, begin: int | None = None, **given: object) -> list[Sent]:
        """Run the notifier once."""
        with self.notifier(begin=begin, **given) as (notifier, sent):
            notifier.once()
        return sent

    @contextmanager
    def notifier(
        self, *, begin: int | None = None, **given: object
    ) -> Iterator[tuple[Notifier, list[Sent]]]:
        """Return a notifier, and what it has sent."""
        sent: list[Sent] = []
        notifier = Notifier(
            self.engine,
            Author(tenant_id=TENANT, user_id=self.users["ada"]),
            self.settings(**given),
            Encryption([Secret(KEY)]),
            begin=begin,
            on_sent=sent.append,
        )
        try:
            yield notifier, sent
        finally:
            notifier.close()

    def rows(self) -> list[tuple[str, str, str, int]]:
        """Kind, channel, status and number of events of each row, in order."""
        catch_up(self.engine, PROJECTIONS.values())
        c = notifications.c
        query = select(c.kind, c.channel, c.status, c.event_count).order_by(c.kind, c.channel)
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def lab(engine: Engine) -> Iterator[Lab]:
    """Return a lab: ada has mail and a webhook, bob mail alone, eve nothing."""
    users = {}
    with (
        mail_server() as mailbox,
        webhook_receiver() as posts,
        Recorder(engine, Author(tenant_id=TENANT)) as recorder,
    ):
        accounts = Users(recorder, encryption=Encryption([Secret(KEY)]))
        for name, role in {"ada": Role.ADMIN, "bob": Role.RESEARCHER, "eve": Role.VIEWER}.items():
            users[name] = accounts.register(email=f"{name}@example.org", username=name, role=role)
        accounts.change_preferences(
            users["ada"],
            enable_email_notifications=True,
            enable_slack_notifications=True,
            notification_on_regression=True,
        )
        accounts.set_webhook(users["ada"], Secret(posts.url))
        accounts.change_preferences(users["bob"], enable_email_notifications=True)
        yield Lab(engine, users, mailbox, posts)


def failed(user_id: UUID, number: int, *, batch: UUID | None = None) -> list[NewEvent]:
    """A calculation of a user that failed."""
    id_ = uuid7()
    ended = CalculationFailed(
        molecule_id=None,
        batch_id=batch,
        attempt=1,
        error_type=ErrorType.CONVERGENCE_ERROR,
        error_severity=ErrorSeverity.ERROR,
        error_message=f"SCF not converged <{number}>",
    )
    author = Author(tenant_id=TENANT, user_id=user_id)
    return [author.new(id_, ended)]


def campaign(user_id: UUID, failures: int) -> list[NewEvent]:
    """A batch of which some failed."""
    author = Author(tenant_id=TENANT, user_id=user_id)
    begun = BatchStarted(name="night & day", parameters=PARAMETERS, total_count=failures + 2)
    ended = BatchCompleted(total_count=failures + 2, successful_count=2, failed_count=failures)
    return [
        author.new(BATCH, begun),
        *(event for i in range(failures) for event in failed(user_id, i, batch=BATCH)),
        author.new(BATCH, ended),
    ]


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_campaign_that_failed_is_one_message_of_each_kind_with_what_to_do_next(
    lab: Lab,
) -> None:
    """By each channel, to who began it; its end, its failures, what was given up; and not again."""
    lab.notify()
    given_up = CalculationGivenUp(
        molecule_id=None,
        batch_id=BATCH,
        attempt=2,
        error_type=ErrorType.CONVERGENCE_ERROR,
        reason="did not converge twice: 1 retry at most",
    )
    operator = Author(tenant_id=TENANT, user_id=lab.users["bob"])
    record(lab.engine, *campaign(lab.users["ada"], 1000), operator.new(uuid7(), given_up))
    record(lab.engine, *failed(lab.users["eve"], 1), *failed(UUID(int=9, version=4), 2))

    lab.notify()

    failures, completion, ended = sorted(lab.mailbox.subjects)
    assert failures == "[qforge] 1,000 failures in batch night & day"
    assert "Batch completed: night & day: 2 of 1002 have a result, 1000 failed" in completion
    assert ended.endswith("did not converge twice: 1 retry at most")
    assert {str(mail["To"]) for mail in lab.mailbox.mails} == {"ada@example.org"}
    text = next(text_of(mail) for mail in lab.mailbox.mails if "failures" in mail["Subject"])
    assert "1,000 × convergence_error" in text
    assert "and 995 others" in text
    assert "qforge calculations list --batch 'night & day' --status failed" in text
    assert "qforge users notifications --no-email" in text
    posted = [json.loads(body)["text"] for _, body in lab.posts.received]
    assert len(posted) == 3
    assert any("night &amp; day" in each for each in posted)
    assert lab.rows() == [
        ("completion", "email", "delivered", 1),
        ("completion", "slack", "delivered", 1),
        ("failure", "email", "delivered", 1000),
        ("failure", "slack", "delivered", 1000),
        ("given_up", "email", "delivered", 1),
        ("given_up", "slack", "delivered", 1),
    ]

    assert lab.notify() == []
    assert len(lab.mailbox.mails) == 3


def test_what_is_not_wanted_any_more_is_not_sent(lab: Lab) -> None:
    """A kind, a channel, an account; each counts from the moment that the log has it."""
    lab.notify()
    with Recorder(lab.engine, Author(tenant_id=TENANT)) as recorder:
        accounts = Users(recorder)
        accounts.change_preferences(lab.users["ada"], enable_email_notifications=False)
        accounts.change_preferences(lab.users["ada"], notification_on_error=False)
        record(lab.engine, *campaign(lab.users["ada"], 3), *failed(lab.users["bob"], 1))
        accounts.deactivate(lab.users["bob"])
    lab.notify()

    assert lab.mailbox.mails == []
    assert lab.rows() == [("completion", "slack", "delivered", 1)]


def test_a_server_that_is_away_delays_its_own_messages_and_loses_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal for good ends a message; the others wait, also in a new process."""
    lab.notify()
    record(lab.engine, *campaign(lab.users["ada"], 2), *failed(lab.users["bob"], 1))
    lab.mailbox.answer = "451 try later"
    lab.posts.status = 404
    sent = lab.notify()
    assert {(each.channel, each.status) for each in sent} == {
        ("email", "failing"),
        ("slack", "abandoned"),
    }
    lab.mailbox.answer = "250 taken"
    assert lab.notify() == []  # it is too early

    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.0)
    lab.mailbox.answer = "451 try later"
    record(lab.engine, *failed(lab.users["bob"], 2))
    with lab.notifier() as (notifier, again):
        notifier.once()
        lab.mailbox.answer = "250 taken"
        notifier.once()
    assert [each.status for each in again if each.user_id == lab.users["bob"]] == [
        "failing",
        "delivered",
    ]


def test_two_notifiers_of_a_tenant_do_not_send_the_same(lab: Lab) -> None:
    """The second is refused while the first is connected; where it began is not asked again."""
    with lab.notifier() as (first, _), lab.engine.connect() as connection:
        first._hold(connection)
        with pytest.raises(NotifierRuns):
            lab.notify()
    lab.notify()
    with pytest.raises(HasBegun):
        lab.notify(begin=0)


def test_calculations_that_became_slower_are_told_of_once(lab: Lab) -> None:
    """To who asked for it, with both versions; the day is compared with the week before."""
    today = datetime.now(UTC).replace(hour=3, minute=0)
    events = [created("O")]
    for day, seconds, version in [(3, 1.0, "0.4.0"), (1, 1.9, "0.5.0")]:
        for number in range(20):
            id_, at = uuid7(), today - timedelta(days=day, minutes=number)
            ended = completed(id_, "O", at=at + timedelta(seconds=seconds))
            result = msgspec.structs.replace(
                ended.event, wall_time_seconds=seconds, program_version=version
            )
            events += [started(id_, "O", at=at), msgspec.structs.replace(ended, event=result)]
    with lab.notifier() as (notifier, _):
        notifier.once()
        record(lab.engine, *events)
        notifier._checked = None  # as on the next day
        with lab.engine.connect() as connection:
            notifier._check_performance(connection)
            notifier._checked = None
            notifier._check_performance(connection)
    lab.notify()

    (subject,) = lab.mailbox.subjects
    assert "slower" in subject
    assert "1.9 s instead of 1 s" in subject
    assert "0.5.0" in subject
    assert lab.rows() == [
        ("regression", "email", "delivered", 1),
        ("regression", "slack", "delivered", 1),
    ]


def test_a_notifier_that_is_killed_after_sending_sends_the_same_message_again(
    lab: Lab, database: Database, tmp_path: Path
) -> None:
    """Nothing is lost; who got the first knows the second by its Message-ID."""
    lab.notify()
    record(lab.engine, *failed(lab.users["bob"], 1), *failed(lab.users["bob"], 2))
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(OTHERS_VARIABLES)},
        "QFORGE_HOME": str(tmp_path),
        "DATABASE_URL": libpq_url(database.url),
        "QFORGE_USER_ID": "ada",
        "QFORGE_SMTP_URL": f"smtp://127.0.0.1:{lab.mailbox.port}",
        "QFORGE_SMTP_FROM": "forge@lab.example",
    }
    command = [sys.executable, "-m", "quantum_forge.cli.main", "notify", "--once"]
    process = subprocess.Popen(command, env=variables, cwd=tmp_path, stderr=subprocess.PIPE)
    lab.mailbox.before = process.kill
    _, said = process.communicate(timeout=120)
    assert process.returncode == -9, said.decode()
    lab.mailbox.before = lambda: None
    assert lab.rows() == [("failure", "email", "queued", 2)]

    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    first, second = lab.mailbox.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert lab.rows() == [("failure", "email", "delivered", 2)]


def test_a_user_says_what_to_be_told_and_an_admin_sees_what_would_be_sent(
    qforge_here: Qforge,
) -> None:
    """Nothing is sent, and nothing recorded, by a dry run."""
    qforge_here("users", "register", "ada", "--email", "ada@example.org", "--no-password")
    env = {"QFORGE_ENCRYPTION_KEYS": KEY}
    found = json.loads(
        qforge_here(
            *("users", "notifications", "--email", "--slack", "--no-failures", "--webhook-stdin"),
            "--json",
            input="https://hooks.example/s3cret\n",
            env=env,
        ).stdout
    )
    assert found == {
        "enable_email_notifications": True,
        "enable_slack_notifications": True,
        "notification_on_completion": True,
        "notification_on_error": False,
        "notification_on_give_up": True,
        "notification_on_regression": False,
        "has_webhook": True,
    }
    refused = qforge_here(
        *("users", "notifications", "--webhook-stdin"), input="http://x/s3cret", env=env, status=2
    )
    assert "s3cret" not in refused.stderr
    assert "https://" in refused.stderr

    batch = json.dumps({"name": "b", "parameters": {}, "total_count": 1})
    id_ = json.loads(qforge_here("record", "batch_started", "--data", batch, "--json").stdout)
    counts = json.dumps({"total_count": 1, "successful_count": 1, "failed_count": 0})
    qforge_here("record", "batch_completed", "--entity-id", id_["entity_id"], "--data", counts)
    before = qforge_here("events", "list", "--json", "--limit", "1").stdout
    planned = json.loads(
        qforge_here("notify", "--dry-run", "--since", "0", "--json", env=env).stdout
    )

    assert [(each["channel"], each["kind"]) for each in planned] == [
        ("slack", NotificationKind.COMPLETION)
    ]
    assert qforge_here("events", "list", "--json", "--limit", "1").stdout == before
