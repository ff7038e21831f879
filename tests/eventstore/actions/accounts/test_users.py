"""Accounts, sessions and keys: their rules, and that no secret is stored anywhere."""

import hmac
import time
from base64 import b32decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from quantum_forge.eventstore.actions.accounts import password_login
from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.names import USERNAME, name_id
from quantum_forge.eventstore.actions.accounts.organizations import Organizations
from quantum_forge.eventstore.actions.accounts.password_login import MOST_FAILURES
from quantum_forge.eventstore.actions.accounts.second_factor import PreparedFactor
from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.errors import (
    AccessRefused,
    EventRefused,
    LastAdmin,
    MixedScripts,
    NameTaken,
    NotLetIn,
    RuleBroken,
    WeakPassword,
    WrongCode,
)
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.log.read import read_streams
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import read_person
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.security import hashing
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import named
from quantum_forge.schema.domains.access import ApiKeyUsed, SessionClosed, SessionExtended
from quantum_forge.schema.domains.bookmarks import (
    BookmarkAdded,
    BookmarkRelabelled,
    BookmarkRemoved,
)
from quantum_forge.schema.domains.organizations import (
    MemberRole,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationMemberAdded,
    member_id,
)
from quantum_forge.schema.domains.users import (
    NameClaimed,
    NameReleased,
    Role,
    UserDeactivated,
    UserLoggedOut,
    UserLoginFailed,
    UserRoleChanged,
    UserTwoFactorEnabled,
    UserUpdated,
)
from quantum_forge.schema.language.event import Event
from tests.support.appending import OTHER_TENANT, TENANT

AUTHOR = Author(tenant_id=TENANT, ip_address="192.0.2.7", user_agent="Firefox")
PASSWORD = Secret("correct horse battery")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def recorder(engine: Engine) -> Iterator[Recorder]:
    """Return a recorder, which is closed afterwards."""
    with Recorder(engine, AUTHOR) as recorder:
        yield recorder


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as cheaply as Argon2 allows, and refuse logins at once."""
    monkeypatch.setattr(hashing, "MEMORY_KIB", 8)
    monkeypatch.setattr(hashing, "ITERATIONS", 1)
    monkeypatch.setattr(password_login, "REFUSAL_STEP", 1e-6)


@pytest.fixture
def users(recorder: Recorder) -> Users:
    """Return a recorder of users."""
    return Users(recorder)


@pytest.fixture
def ada(users: Users) -> UUID:
    """Return a user who is registered."""
    return users.register(email="Ada@Example.org", username="ada", password=PASSWORD)


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return noon."""
    return Clock()


def test_an_address_or_name_belongs_to_one_account_whatever_its_case(
    users: Users, ada: UUID
) -> None:
    """A second one is refused, and nothing of it is recorded; another tenant may have it."""
    with pytest.raises(NameTaken, match=r"the email address ada@EXAMPLE\.org is taken"):
        users.register(email="ada@EXAMPLE.org", username="lovelace")
    with pytest.raises(NameTaken, match="the username ADA is taken"):
        users.register(email="other@example.org", username="ADA")

    assert users.register(email="other@example.org", username="lovelace") != ada
    elsewhere = Users(Recorder(users.engine, Author(tenant_id=OTHER_TENANT)))
    assert elsewhere.register(email="ada@example.org", username="ada")


def test_of_many_who_register_one_address_at_once_one_gets_it(users: Users) -> None:
    """With connections of their own; the others are told that it is taken."""

    def register(number: int) -> str:
        try:
            users.register(email="ada@example.org", username=f"ada{number}")
        except NameTaken as taken:
            return taken.kind
        return "registered"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(register, range(8)))

    assert outcomes == ["email address"] * 7 + ["registered"]
    assert count(users.engine, "user_registered") == 1
    assert count(users.engine, "name_claimed") == 2


def test_a_changed_address_frees_the_old_one_and_says_what_it_was(users: Users, ada: UUID) -> None:
    """Who takes it next gets it; taking one's own again changes nothing."""
    users.update(ada, email="ada@lovelace.org", full_name="Ada Lovelace")
    users.update(ada, email="ADA@lovelace.org")
    other = users.register(email="ada@example.org", username="other")
    with pytest.raises(NameTaken):
        users.update(other, email="ada@lovelace.org")

    assert last_data(users.engine, ada)["changes"] == {
        "email": {"old": "ada@lovelace.org", "new": "ADA@lovelace.org"}
    }
    users.change_role(ada, role=Role.VIEWER)
    assert last_data(users.engine, ada)["changes"] == {
        "role": {"old": "researcher", "new": "viewer"}
    }


def test_what_profile_and_preferences_were_before_is_told(
    recorder: Recorder, engine: Engine, ada: UUID
) -> None:
    """Field by field; of the encrypted webhook neither the old nor the new one is repeated."""
    users = Users(recorder, encryption=Encryption([Secret(Fernet.generate_key().decode())]))
    users.update_profile(ada, bio="Analyst", affiliation="London")
    users.update_profile(ada, bio=None, affiliation="London")
    assert last_data(engine, ada)["changes"] == {"bio": {"old": "Analyst", "new": None}}

    users.change_preferences(ada, display_precision=4)
    assert last_data(engine, ada)["changes"] == {"display_precision": {"old": None, "new": 4}}
    users.set_webhook(ada, Secret("https://hooks.example.org/T0"))
    assert last_data(engine, ada)["changes"] == {}
    assert users.webhook_of(ada) is not None


def test_a_user_logs_in_by_name_or_address(users: Users, ada: UUID) -> None:
    """In any case; the event is the user's own."""
    assert users.log_in("ada@example.ORG", PASSWORD) == ada
    assert users.log_in("Ada", PASSWORD) == ada

    with users.engine.connect() as connection:
        query = text("SELECT DISTINCT user_id FROM event_logs WHERE event_type = 'user_logged_in'")
        assert list(connection.scalars(query)) == [ada]


def test_nobody_else_does_and_every_attempt_is_recorded(users: Users, ada: UUID) -> None:
    """The message does not tell whether there is such an account; the log tells why."""
    told = set()
    for name, password in (
        ("ada", "wrong password"),
        ("nobody", "wrong password"),
        ("nobody@example.org", "wrong password"),
    ):
        with pytest.raises(NotLetIn) as refused:
            users.log_in(name, Secret(password))
        told.add(str(refused.value))
    users.deactivate(ada)
    with pytest.raises(NotLetIn) as inactive:
        users.log_in("ada", PASSWORD)

    assert told == {"login: access denied"}
    assert inactive.value.reason == "inactive_user"
    assert count(users.engine, "user_login_failed") == 2
    assert count(users.engine, "access_denied") == 2


def test_a_new_password_opens_and_the_old_one_does_not(users: Users, ada: UUID) -> None:
    """A short one is refused before it is hashed."""
    with pytest.raises(WeakPassword, match="at least 8 characters"):
        users.change_password(ada, password=Secret("short"))
    users.change_password(ada, password=Secret("staple, staple"))

    assert users.log_in("ada", Secret("staple, staple")) == ada
    with pytest.raises(NotLetIn):
        users.log_in("ada", PASSWORD)


def test_a_plain_password_does_not_fit_into_an_event(users: Users, ada: UUID) -> None:
    """Nor does a plain URL where a ciphertext belongs; the error does not repeat it."""
    with pytest.raises(EventRefused, match=r"\$\.slack_webhook_url") as refused:
        users.change_preferences(ada, slack_webhook_url="https://hooks.example.org/T0")

    assert "hooks.example.org" not in str(refused.value)


def test_a_session_is_resumed_until_it_ends(
    recorder: Recorder, engine: Engine, ada: UUID, clock: Clock
) -> None:
    """Not after it was closed, nor after its time, nor by whom there is no session."""
    sessions = Sessions(recorder, clock=clock)
    first, second = sessions.open(ada), sessions.open(ada)

    clock.now += timedelta(days=6)
    assert sessions.resume(first.token).expires_at == NOON + timedelta(days=13)
    clock.now += timedelta(days=6)
    sessions.resume(first.token)

    assert reason(sessions, second.token) == "session is expired"
    with pytest.raises(RuleBroken, match="is expired; session_state_saved needs it to be open"):
        sessions.save_state(second.id, current_view="editor")
    sessions.close(first.id)
    assert reason(sessions, first.token) == "session is closed"
    with pytest.raises(RuleBroken, match="is closed"):
        sessions.close(first.id)
    assert reason(sessions, Secret.random()) == "unknown session"
    assert count(engine, "access_denied") == 3
    with engine.connect() as connection:
        query = text("SELECT DISTINCT user_id FROM event_logs WHERE entity_type = 'session'")
        assert list(connection.scalars(query)) == [ada]


def test_without_an_active_user_there_is_no_session_and_no_key(
    recorder: Recorder, users: Users, ada: UUID
) -> None:
    """Neither a new one nor one from before."""
    sessions, keys = Sessions(recorder), ApiKeys(recorder)
    session, issued = sessions.open(ada), keys.issue(ada, name="script")
    users.deactivate(ada, reason="left")

    for begin in (lambda: sessions.open(ada), lambda: keys.issue(ada, name="other")):
        with pytest.raises(RuleBroken, match="is inactive"):
            begin()
    with pytest.raises(RuleBroken, match="does not exist"):
        sessions.open(uuid4())
    assert reason(sessions, session.token) == "issued before the user was deactivated"
    with pytest.raises(NotLetIn) as refused:
        keys.use(issued.key)
    assert refused.value.reason == "user is inactive"

    # And when the account is open again, only what is issued from then on
    users.reactivate(ada)
    assert reason(sessions, session.token) == "issued before the user was deactivated"
    with pytest.raises(NotLetIn) as refused:
        keys.use(issued.key)
    assert refused.value.reason == "issued before the user was deactivated"
    assert keys.use(keys.issue(ada, name="new").key).user_id == ada
    sessions.resume(sessions.open(ada).token)


def test_a_new_password_shuts_out_who_had_got_in(
    recorder: Recorder, users: Users, ada: UUID
) -> None:
    """Whoever has stolen a password has perhaps opened a session, or issued a key, with it."""
    sessions, keys = Sessions(recorder), ApiKeys(recorder)
    session, issued = sessions.open(ada), keys.issue(ada, name="script")

    users.change_password(ada, password=Secret("staple, staple"))

    assert reason(sessions, session.token) == "issued before the password was changed"
    assert refusal(keys, issued.key) == "issued before the password was changed"
    sessions.resume(sessions.open(ada).token)
    keys.use(keys.issue(ada, name="new").key)


@pytest.mark.parametrize("weak", ["        ", "\t" * 12, "aaaaaaaaaaaa", "   a2c4   "])
def test_blanks_and_one_repeated_character_are_no_password(
    users: Users, ada: UUID, weak: str
) -> None:
    """Length alone says little."""
    with pytest.raises(WeakPassword):
        users.change_password(ada, password=Secret(weak))


@pytest.mark.parametrize("name", ["\u0430dmin", "adm\u0456n", "\u03bfliver", "p\u0430yp\u0430l"])
def test_a_name_of_several_scripts_is_refused(users: Users, ada: UUID, name: str) -> None:
    """It would look like somebody else's; a name of one script, whichever, is accepted."""
    with pytest.raises(MixedScripts, match="several scripts"):
        users.register(email="x@example.org", username=name)
    with pytest.raises(MixedScripts):
        users.update(ada, username=name)
    users.register(email="y@example.org", username="\u0430\u0434\u0430-2")


def test_a_key_opens_what_it_is_for_until_it_is_revoked(
    recorder: Recorder, engine: Engine, ada: UUID, clock: Clock
) -> None:
    """Each refusal is recorded with its reason, and in the name of its user."""
    keys = ApiKeys(recorder, clock=clock)
    issued = keys.issue(ada, name="script", scopes=["read"], expires_at=NOON + timedelta(days=1))

    holder = keys.use(issued.key, scope="read")
    assert (holder.user_id, holder.scopes, holder.key_id) == (ada, ["read"], issued.id)
    assert refusal(keys, issued.key, scope="write") == "key has no scope write"
    clock.now += timedelta(days=1)
    assert refusal(keys, issued.key) == "key is expired"
    clock.now = NOON
    keys.revoke(issued.id, reason="leaked")
    assert refusal(keys, issued.key) == "key is revoked"
    with pytest.raises(RuleBroken, match="is revoked; api_key_revoked needs it to be valid"):
        keys.revoke(issued.id)
    assert refusal(keys, Secret.random("qf_")) == "unknown key"

    with engine.connect() as connection:
        query = text("SELECT user_id FROM event_logs WHERE event_type = 'access_denied'")
        assert list(connection.scalars(query)) == [ada, ada, ada, None]


def test_a_key_without_limits_may_be_recorded_at_intervals(
    recorder: Recorder, engine: Engine, ada: UUID, clock: Clock
) -> None:
    """One event a minute however often it is used; revoked, it opens nothing at once."""
    keys = ApiKeys(recorder, clock=clock)
    issued = keys.issue(ada, name="script")
    for seconds in (0, 1, 55, 70):  # events have the true time
        clock.now = datetime.now(UTC) + timedelta(seconds=seconds)
        assert keys.use(issued.key, at_intervals=True).key_id == issued.id
    query = text("SELECT count(*) FROM event_logs WHERE event_type = 'api_key_used'")
    with engine.connect() as connection:
        assert connection.scalar(query) == 2
    keys.revoke(issued.id)
    with pytest.raises(NotLetIn, match="access denied"):
        keys.use(issued.key, at_intervals=True)


def test_a_key_keeps_its_quota_and_its_rate_under_concurrent_use(
    recorder: Recorder, ada: UUID
) -> None:
    """Whoever comes at once: as many are let in as the limit says."""
    keys = ApiKeys(recorder)
    rationed = keys.issue(ada, name="rationed", usage_quota=3)
    hasty = keys.issue(ada, name="hasty", rate_limit=2)

    def use(key: Secret) -> str | None:
        return refusal(keys, key)

    with ThreadPoolExecutor(4) as pool:
        rations = list(pool.map(use, [rationed.key] * 6))
        rates = list(pool.map(use, [hasty.key] * 4))

    assert sorted(map(str, rations)) == ["None"] * 3 + ["quota is used up"] * 3
    assert sorted(map(str, rates)) == ["None"] * 2 + ["rate limit is reached"] * 2
    later = ApiKeys(recorder, clock=lambda: datetime.now(UTC) + timedelta(minutes=2))
    assert later.use(hasty.key).user_id == ada


def test_members_join_once_and_leave_once(recorder: Recorder, engine: Engine, ada: UUID) -> None:
    """And may come back."""
    organizations = Organizations(recorder)
    lab = organizations.recorder.record(OrganizationCreated(name="Lab")).entity_id
    member: dict[str, Any] = {"organization_id": lab, "user_id": ada}
    with pytest.raises(RuleBroken, match="does not exist"):
        organizations.remove_member(**member)
    organizations.recorder.record(OrganizationMemberAdded(**member))
    with pytest.raises(RuleBroken, match="member"):
        organizations.recorder.record(OrganizationMemberAdded(**member))
    organizations.change_member_role(**member, role=MemberRole.OWNER)
    assert last_data(engine, member_id(TENANT, lab, ada))["changes"] == {
        "role": {"old": "member", "new": "owner"}
    }
    organizations.remove_member(**member)
    organizations.recorder.record(OrganizationMemberAdded(**member))
    organizations.rename(lab, name="Laboratory")
    organizations.delete(lab)
    with pytest.raises(RuleBroken, match="left"):
        organizations.remove_member(**member)
    with pytest.raises(RuleBroken, match="deleted"):
        organizations.rename(lab, name="Lab")
    with pytest.raises(RuleBroken, match=r"organization .* is deleted"):
        organizations.recorder.record(OrganizationMemberAdded(organization_id=lab, user_id=uuid4()))


def test_who_was_in_a_deleted_organisation_has_no_power_left(
    recorder: Recorder, engine: Engine, ada: UUID
) -> None:
    """Its members leave with it, in one append; those of another one and who had left do not."""
    organizations = Organizations(recorder)
    lab, other = (
        organizations.recorder.record(OrganizationCreated(name=name)).entity_id
        for name in ("Lab", "Other")
    )
    owner, guest, gone = uuid4(), uuid4(), uuid4()
    for user_id, role in ((owner, MemberRole.OWNER), (gone, MemberRole.MEMBER)):
        organizations.recorder.record(
            OrganizationMemberAdded(organization_id=lab, user_id=user_id, role=role)
        )
    organizations.recorder.record(OrganizationMemberAdded(organization_id=other, user_id=guest))
    organizations.remove_member(organization_id=lab, user_id=gone)

    deleted = organizations.delete(lab)

    with engine.connect() as connection:
        powers = [read_person(connection, TENANT, id_).roles for id_ in (owner, guest, ada)]
        (left,) = read_streams(
            connection, TENANT, "organization_member", [member_id(TENANT, lab, owner)]
        ).values()
    assert powers == [set(), {Role.RESEARCHER}, {Role.RESEARCHER}]
    assert left[-1].metadata["causation_id"] == str(deleted.event_id)
    assert count(engine, "organization_member_removed") == 2


def test_a_closed_account_has_no_power_as_a_member_either(
    recorder: Recorder, engine: Engine, users: Users, ada: UUID
) -> None:
    """Whoever left the laboratory is no owner of it any more."""
    organizations = Organizations(recorder)
    lab = organizations.recorder.record(OrganizationCreated(name="Lab")).entity_id
    organizations.recorder.record(
        OrganizationMemberAdded(organization_id=lab, user_id=ada, role=MemberRole.OWNER)
    )
    users.deactivate(ada)

    with engine.connect() as connection:
        assert read_person(connection, TENANT, ada).roles == set()


def test_a_member_who_left_has_lost_the_role_before_any_projector_ran(
    recorder: Recorder, engine: Engine
) -> None:
    """By the log, however they left, whatever a read model that is behind still says."""

    def roles() -> set[Role]:
        with engine.connect() as connection:
            return set(read_person(connection, TENANT, owner).roles)

    organizations = Organizations(recorder)
    owner = uuid4()
    lab, other = (
        recorder.record(OrganizationCreated(name=name)).entity_id for name in ("Lab", "Other")
    )
    member: dict[str, Any] = {"organization_id": lab, "user_id": owner}
    recorder.record(OrganizationMemberAdded(**member, role=MemberRole.OWNER))
    catch_up(engine, named(["organization_members"]))
    assert roles() == {Role.ADMIN}

    organizations.change_member_role(**member, role=MemberRole.MEMBER)
    assert roles() == {Role.RESEARCHER}
    organizations.remove_member(**member)
    assert roles() == set()
    recorder.record(OrganizationMemberAdded(**member))
    recorder.record(
        OrganizationMemberAdded(organization_id=other, user_id=owner, role=MemberRole.ADMIN)
    )
    assert roles() == {Role.RESEARCHER, Role.ADMIN}
    recorder.record(OrganizationDeleted(), of=other)
    organizations.delete(lab)
    assert roles() == set()


def test_a_thing_is_marked_once(recorder: Recorder, ada: UUID) -> None:
    """And again after the mark was removed."""
    thing: dict[str, Any] = {"user_id": ada, "target_type": "molecule", "target_id": uuid4()}
    mark = recorder.record(BookmarkAdded(**thing)).entity_id
    with pytest.raises(RuleBroken):
        recorder.record(BookmarkAdded(**thing))
    recorder.record(BookmarkRelabelled(label="the good one"), of=mark)
    recorder.record(BookmarkRemoved(), of=mark)
    assert recorder.record(BookmarkAdded(**thing)).entity_id == mark


def test_nobody_but_an_admin_changes_the_marks_of_others(
    users: Users, recorder: Recorder, ada: UUID
) -> None:
    """Whose a mark is says the log, whatever the event claims."""
    vic = users.register(email="vic@example.org", username="vic", role=Role.VIEWER)
    users.change_role(ada, role=Role.ADMIN)
    thing: dict[str, Any] = {"target_type": "molecule", "target_id": uuid4()}
    as_vic, as_ada = (
        recorder.acting_as(Author(tenant_id=TENANT, user_id=each)) for each in (vic, ada)
    )
    of_ada = as_ada.record(BookmarkAdded(user_id=ada, **thing)).entity_id
    of_vic = as_vic.record(BookmarkAdded(user_id=vic, **thing)).entity_id

    for event in (BookmarkRemoved(), BookmarkRelabelled(label="x"), BookmarkRemoved(user_id=ada)):
        with pytest.raises(AccessRefused, match="requires the role admin"):
            as_vic.record(event, of=of_ada)
    with pytest.raises(EventRefused, match=f"{ada} was recorded before"):
        as_vic.record(BookmarkRemoved(user_id=vic), of=of_ada)
    as_vic.record(BookmarkRelabelled(label="mine", user_id=vic), of=of_vic)
    as_vic.record(BookmarkRemoved(user_id=vic), of=of_vic)
    as_ada.record(BookmarkRemoved(), of=of_ada)


def reason(sessions: Sessions, token: Secret) -> str:
    """Why a session is not resumed."""
    with pytest.raises(NotLetIn) as refused:
        sessions.resume(token)
    return refused.value.reason


def refusal(keys: ApiKeys, key: Secret, scope: str | None = None) -> str | None:
    """Why a key does not open."""
    try:
        keys.use(key, scope=scope)
    except NotLetIn as refused:
        return refused.reason
    return None


def count(engine: Engine, event_type: str) -> int:
    """How many events of a type there are."""
    query = text("SELECT count(*) FROM event_logs WHERE event_type = :type")
    with engine.connect() as connection:
        return int(connection.execute(query, {"type": event_type}).scalar_one())


def last_data(engine: Engine, entity_id: UUID) -> dict[str, object]:
    """The payload of the last event of an entity."""
    query = text(
        "SELECT data::text FROM event_logs WHERE entity_id = :id ORDER BY version DESC LIMIT 1"
    )
    with engine.connect() as connection:
        data = connection.execute(query, {"id": entity_id}).scalar_one()
    return msgspec.json.decode(data, type=dict[str, object])


def test_an_account_is_locked_after_failures_in_a_row(
    users: Users, engine: Engine, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever guesses is stopped; it ends by time, or with another password."""
    users.change_password(ada, password=Secret("staple, staple"))

    def log_in() -> str | None:
        try:
            users.log_in("ada", Secret("staple, staple"))
        except NotLetIn as refused:
            return refused.reason
        return None

    for _ in range(MOST_FAILURES + 2):
        with pytest.raises(NotLetIn, match="access denied"):
            users.log_in("ada", Secret("a guess"))

    assert count(engine, "user_login_failed") == MOST_FAILURES
    assert "ends after 15 minutes" in (log_in() or "")
    with monkeypatch.context() as later:
        later.setattr(password_login, "LOCKED_FOR", timedelta(0))
        assert log_in() is None
    for _ in range(MOST_FAILURES):
        with pytest.raises(NotLetIn):
            users.log_in("ada", Secret("a guess"))
    assert "ends after 15 minutes" in (log_in() or "")
    users.change_password(ada, password=Secret("staple, staple"))
    assert log_in() is None


def test_of_guesses_at_the_same_time_no_more_are_answered_than_the_lock_allows(
    engine: Engine, users: Users, ada: UUID
) -> None:
    """With connections of their own; then even the right password is refused."""
    users.change_password(ada, password=PASSWORD)
    guesses = [Secret(f"a guess {number}") for number in range(2 * MOST_FAILURES)]
    together = Barrier(len(guesses))

    def guess(password: Secret) -> str:
        with Recorder(engine, AUTHOR) as recorder:
            together.wait()
            with pytest.raises(NotLetIn) as refused:
                Users(recorder).log_in("ada", password)
            return refused.value.reason

    with ThreadPoolExecutor(len(guesses)) as pool:
        reasons = list(pool.map(guess, guesses))

    assert reasons.count("wrong_password") == count(engine, "user_login_failed") == MOST_FAILURES
    with pytest.raises(NotLetIn) as refused:
        users.log_in("ada", PASSWORD)
    assert refused.value.reason.startswith("locked")


def test_admins_who_remove_each_other_at_once_leave_one(engine: Engine) -> None:
    """Whatever they do to each other, by actions or by events, with connections of their own."""
    ways: list[Callable[[Users, UUID], object]] = [
        lambda users, id_: users.change_role(id_, role=Role.VIEWER),
        lambda users, id_: users.deactivate(id_),
        lambda users, id_: users.recorder.record(UserDeactivated(), of=id_),
        lambda users, id_: users.recorder.record(UserRoleChanged(role=Role.VIEWER), of=id_),
    ]
    together = Barrier(len(ways))

    for _ in range(4):
        tenant = Author(tenant_id=uuid4())

        def remove(
            way: Callable[[Users, UUID], object], admin: UUID, tenant: Author = tenant
        ) -> str:
            with Recorder(engine, tenant) as recorder:
                together.wait()
                try:
                    way(Users(recorder), admin)
                except LastAdmin as refused:
                    return str(refused)
                return "removed"

        with Recorder(engine, tenant) as recorder:
            users = Users(recorder)
            admins = [
                users.register(email=f"{name}@example.org", username=name, role=Role.ADMIN)
                for name in ("ada", "bob", "cid", "dee")
            ]
            with ThreadPoolExecutor(len(ways)) as pool:
                outcomes = sorted(pool.map(remove, ways, admins))
            assert outcomes[1:] == ["removed"] * 3 or outcomes[:3] == ["removed"] * 3, outcomes
            assert users.has_admin()


def test_one_append_may_make_an_admin_and_remove_the_last_but_not_only_remove(
    users: Users, ada: UUID
) -> None:
    """The events of one append are counted in their order."""
    bob = users.register(email="bob@example.org", username="bob")
    users.change_role(ada, role=Role.ADMIN)

    users.record((bob, UserRoleChanged(role=Role.ADMIN)), (ada, UserDeactivated()))
    users.reactivate(ada)
    with pytest.raises(LastAdmin, match="only active admin of the tenant"):
        users.record((ada, UserDeactivated()), (bob, UserRoleChanged(role=Role.VIEWER)))
    users.deactivate(bob)
    with pytest.raises(LastAdmin, match="ada is the only active admin"):
        users.deactivate(ada)


def code_of(app: PreparedFactor, clock: Clock, *, steps: int = 0) -> Secret:
    """What an authenticator app shows; an own implementation of RFC 6238 agrees."""
    key, counter = b32decode(app.text.reveal()), int(clock.now.timestamp()) // 30 + steps
    digest = hmac.digest(key, counter.to_bytes(8, "big"), "sha1")
    number = int.from_bytes(digest[digest[-1] & 15 :][:4], "big") & 0x7FFFFFFF
    return Secret(f"{number % 1_000_000:06d}")


def test_who_enabled_a_second_factor_needs_a_code_and_each_code_counts_once(
    recorder: Recorder, ada: UUID, clock: Clock
) -> None:
    """A code of the app, not used before, not of another time; or a recovery code, once."""
    encryption = Encryption([Secret(Fernet.generate_key().decode())])
    users = Users(recorder, encryption=encryption, clock=clock)

    def answer(code: Secret | None) -> str | None:
        try:
            users.log_in("ada", PASSWORD, code=code)
        except NotLetIn as refused:
            return refused.reason
        return None

    # Given: an app that was prepared, which changes nothing yet
    with pytest.raises(WrongCode, match="no authenticator app was prepared"):
        users.enable_two_factor(ada, Secret("123456"))
    app = users.prepare_two_factor(ada)
    assert app.uri.reveal().startswith("otpauth://totp/Quantum%20Forge:ada?")
    assert f"secret={app.text.reveal()}" in app.uri.reveal()
    assert answer(None) is None
    with pytest.raises(WrongCode, match="clocks of both devices"):
        users.enable_two_factor(ada, code_of(app, clock, steps=-2))
    first = code_of(app, clock)
    recovery = users.enable_two_factor(ada, first)
    assert len({each.reveal() for each in recovery}) == 10

    # When it counts: the code that confirmed it is used up, and the next one counts once
    assert answer(None) == "second_factor_missing"
    assert answer(first) == "wrong_second_factor"
    clock.now += timedelta(seconds=30)
    code = code_of(app, clock)
    assert answer(Secret(f"{code.reveal()[:3]} {code.reveal()[3:]}")) is None
    assert answer(code) == "wrong_second_factor"
    assert answer(code_of(app, clock, steps=2)) == "wrong_second_factor"
    assert answer(code_of(app, clock, steps=1)) is None
    assert answer(code_of(app, clock)) == "wrong_second_factor"
    clock.now += timedelta(minutes=2)
    assert answer(code_of(app, clock, steps=-1)) is None

    # Then: a recovery code, however it is typed, counts once
    assert answer(Secret(recovery[3].reveal().lower().replace("-", " "))) is None
    assert answer(recovery[3]) == "recovery_code_used"
    assert answer(Secret("ABCD-EFGH-IJKL-MNOP")) == "wrong_second_factor"
    assert answer(recovery[0]) is None
    # Without the key, or with a flag of old that has no secret, nobody gets in
    assert Users(recorder).log_in("ada", PASSWORD, code=recovery[1]) == ada
    with pytest.raises(NotLetIn) as refused:
        Users(recorder, clock=clock).log_in("ada", PASSWORD, code=code_of(app, clock, steps=1))
    assert refused.value.reason == "second_factor_undecryptable"
    users.record((ada, UserTwoFactorEnabled()))
    assert answer(recovery[2]) == "second_factor_missing"
    users.disable_two_factor(ada)
    assert answer(None) is None
    with pytest.raises(WrongCode, match="no authenticator app was prepared"):
        users.enable_two_factor(ada, code_of(app, clock))


def test_of_logins_with_one_code_at_the_same_time_one_succeeds(
    engine: Engine, recorder: Recorder, ada: UUID, clock: Clock
) -> None:
    """Whoever looks over a shoulder is not as fast as to use a code twice."""
    encryption = Encryption([Secret(Fernet.generate_key().decode())])
    users = Users(recorder, encryption=encryption, clock=clock)
    app = users.prepare_two_factor(ada)
    users.enable_two_factor(ada, code_of(app, clock))
    clock.now += timedelta(minutes=1)
    code = code_of(app, clock)
    together = Barrier(6)

    def log_in(_: int) -> str:
        with Recorder(engine, AUTHOR) as own:
            together.wait()
            try:
                Users(own, encryption=encryption, clock=clock).log_in("ada", PASSWORD, code=code)
            except NotLetIn as refused:
                return refused.reason
            return "let in"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(log_in, range(6)))

    assert outcomes == ["let in"] + ["wrong_second_factor"] * 5


def test_a_refused_login_takes_a_multiple_of_a_step_whether_the_account_exists_or_not(
    users: Users, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an account that exists takes longer is not seen: both wait for the end of the step."""
    monkeypatch.setattr(password_login, "REFUSAL_STEP", 0.5)
    for name in ("ada", "nobody"):
        began = time.monotonic()
        with pytest.raises(NotLetIn):
            users.log_in(name, Secret("a guess"))
        # From the beginning of the call, which is a little later.
        assert time.monotonic() - began >= 0.5
    assert users.log_in("ada", PASSWORD) == ada


def test_a_name_that_nobody_has_makes_one_event_a_minute(users: Users, engine: Engine) -> None:
    """Whoever tries passwords for it does not fill the log."""
    for _ in range(20):
        with pytest.raises(NotLetIn):
            users.log_in("nobody", Secret("a guess"))

    assert count(engine, "access_denied") in (1, 2)  # a minute may have ended


def test_nobody_but_an_admin_records_by_hand_what_opens_and_closes_accounts(
    users: Users, recorder: Recorder, ada: UUID
) -> None:
    """A viewer neither locks an admin out, nor ends their sessions, nor takes their name."""
    users.change_role(ada, role=Role.ADMIN)
    vic = users.register(
        email="vic@example.org", username="vic", password=PASSWORD, role=Role.VIEWER
    )
    session = Sessions(recorder).open(ada)
    key = ApiKeys(recorder).issue(ada, name="laptop")
    name = name_id(TENANT, USERNAME, "ada")
    as_vic = recorder.acting_as(Author(tenant_id=TENANT, user_id=vic))
    theirs = Users(as_vic)

    by_hand: list[tuple[UUID, Event]] = [
        (ada, UserLoginFailed(reason="wrong_password")),
        (ada, UserLoggedOut()),
        (ada, UserUpdated(username="mallory")),
        (vic, UserUpdated(username="ada")),
        (session.id, SessionClosed()),
        (session.id, SessionExtended(expires_at=NOON)),
        (key.id, ApiKeyUsed()),
        (name, NameReleased(user_id=ada)),
        (name, NameReleased(user_id=vic)),
        (name, NameClaimed(kind=USERNAME, user_id=vic)),
    ]
    for entity_id, event in by_hand:
        with pytest.raises(AccessRefused, match="it requires the role admin, and yours is viewer"):
            as_vic.record(event, of=entity_id)
        with pytest.raises(AccessRefused):
            theirs.record((entity_id, event))
    others = Sessions(as_vic)
    for act in (others.close, others.expire, others.touch, others.save_state):
        with pytest.raises(AccessRefused):
            act(session.id)
    with pytest.raises(AccessRefused):
        others.record((ada, UserLoginFailed(reason="wrong_password")))
    with pytest.raises(AccessRefused):
        theirs.update(ada, username="mallory")

    assert users.find("ada") == ada
    assert Sessions(recorder).resume(session.token).user_id == ada

    # Their own account is theirs, by the actions
    theirs.update(vic, username="victor")
    theirs.log_out(vic)
    own = others.open(vic)
    others.save_state(own.id, current_view="molecules")
    others.close(own.id)
    assert ApiKeys(recorder).use(ApiKeys(as_vic).issue(vic, name="own").key).user_id == vic
    with pytest.raises(NotLetIn):
        theirs.log_in("victor", Secret("wrong password"))
    assert theirs.log_in("victor", PASSWORD) == vic

    # And an admin records what happened elsewhere
    as_ada = recorder.acting_as(Author(tenant_id=TENANT, user_id=ada))
    as_ada.record(UserLoginFailed(reason="wrong_password"), of=vic)
    Sessions(as_ada).close(Sessions(as_ada).open(vic).id)
