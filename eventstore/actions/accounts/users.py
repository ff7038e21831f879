"""Actions on accounts: register, log in, roles, profiles, preferences."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Uuid, bindparam, text

from quantum_forge.eventstore.actions.accounts.names import (
    EMAIL,
    USERNAME,
    claim,
    find_account,
    name_stream,
    release,
    require_one_script,
)
from quantum_forge.eventstore.actions.accounts.password_login import log_in
from quantum_forge.eventstore.actions.accounts.revisions import revises, with_changes
from quantum_forge.eventstore.actions.accounts.second_factor import PreparedFactor, confirm
from quantum_forge.eventstore.base.envelope import NewEvent, Placed, Stream
from quantum_forge.eventstore.base.errors import (
    RuleBroken,
    WeakPassword,
)
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.administration import has_admin
from quantum_forge.eventstore.recording.domain import Domain, happens
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.eventstore.security.encryption import Encryption
from quantum_forge.eventstore.security.hashing import (
    SHORTEST_PASSWORD,
    hash_password,
)
from quantum_forge.eventstore.security.totp import new_secret, provisioning_uri
from quantum_forge.schema.domains.logins import LoginLinked, login_id
from quantum_forge.schema.domains.users import (
    Role,
    UserDeactivated,
    UserLoggedOut,
    UserPasswordChanged,
    UserPreferencesChanged,
    UserProfileUpdated,
    UserReactivated,
    UserRegistered,
    UserRoleChanged,
    UserTierChanged,
    UserTwoFactorDisabled,
    UserTwoFactorPrepared,
    UserUpdated,
)

_ENDING = text("""
    SELECT event_type FROM event_logs
     WHERE tenant_id = :tenant_id AND entity_type = 'user' AND entity_id = :user_id
       AND event_type IN ('user_password_changed', 'user_deactivated')
       AND id > (SELECT id FROM event_logs
                  WHERE tenant_id = :tenant_id AND entity_type = :kind AND entity_id = :id
                    AND version = 1)
     ORDER BY version DESC LIMIT 1
""").bindparams(*(bindparam(name, type_=Uuid) for name in ("tenant_id", "user_id", "id")))

_ENDINGS = {
    "user_password_changed": "issued before the password was changed",
    "user_deactivated": "issued before the user was deactivated",
}

_NAMES = {"email": EMAIL, "username": USERNAME}


class Users(Domain):
    """Accounts of a tenant; an email address and a username belong to one of them, whatever case.

    Whoever would leave the tenant without an active admin is refused: LastAdmin.

    Args:
        recorder: on whose behalf; its spool is not used.
        encryption: of webhooks' URLs and secrets of authenticator apps; needed where one is set or
            read.
        clock: what time it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        encryption: Encryption | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(recorder)
        self.encryption = encryption
        self.clock = clock

    change_role = revises(UserRoleChanged)
    change_tier = revises(UserTierChanged)
    deactivate = happens(UserDeactivated)
    reactivate = happens(UserReactivated)
    disable_two_factor = happens(UserTwoFactorDisabled)
    log_out = happens(UserLoggedOut)
    update_profile = revises(UserProfileUpdated)
    change_preferences = revises(UserPreferencesChanged)

    def register(
        self,
        *,
        email: str,
        username: str,
        password: Secret | None = None,
        full_name: str | None = None,
        institution: str | None = None,
        role: Role = Role.RESEARCHER,
        tier: str = "free",
        login: str | None = None,
        user_id: UUID | None = None,
    ) -> UUID:
        """Record a new account; without a password, its owner comes through somebody else's login.

        Args:
            email: unique in the tenant, in any case.
            username: as well.
            password: stored as its hash.
            full_name: shown.
            institution: shown.
            role: what the user may do.
            tier: what the user pays for.
            login: of the database, that acts as this user from now on; see `Logins`.
            user_id: one that events carry already; a new one unless given.

        Raises:
            NameTaken: when another account has the email address or the username.
            WeakPassword: when the password is too short.
            MixedScripts: when the username has letters of several scripts.
            EventRefused: when a field does not fit.
            RuleBroken: when another account has the id.
        """
        require_one_script(username)
        if user_id is None:
            user_id = self.recorder.new_id()
        event = UserRegistered(
            email=email.strip(),
            username=username.strip(),
            hashed_password=None if password is None else _hashed(password),
            full_name=full_name,
            institution=institution,
            role=role,
            tier=tier,
        )

        def decide(connection: Connection) -> list[NewEvent]:
            return [
                self.author.new(user_id, event),
                *claim(connection, self.author, EMAIL, event.email, user_id),
                *claim(connection, self.author, USERNAME, event.username, user_id),
                *linked,
            ]

        linked = []
        if login is not None:
            link = LoginLinked(login=login, user_id=user_id)
            linked.append(self.author.new(login_id(self.author.tenant_id, login), link))
        names = [(EMAIL, event.email), (USERNAME, event.username)]
        self.decide_from([self._name(kind, name) for kind, name in names], decide)
        return user_id

    def update(
        self,
        user_id: UUID,
        /,
        *,
        email: str | UnsetType = UNSET,
        username: str | UnsetType = UNSET,
        full_name: str | UnsetType | None = UNSET,
        institution: str | UnsetType | None = UNSET,
    ) -> Placed:
        """Record what changed of a person; another address or name is claimed, the old one free.

        Raises:
            NameTaken: when another account has the email address or the username.
            MixedScripts: when the username has letters of several scripts.
        """
        if username is not UNSET:
            require_one_script(username)
        event = UserUpdated(
            email=email, username=username, full_name=full_name, institution=institution
        )
        stream = self._stream(user_id)

        def decide(connection: Connection) -> list[NewEvent]:
            before = latest_values(connection, stream, _NAMES)
            moved: list[NewEvent] = []
            for field, kind in _NAMES.items():
                name = getattr(event, field)
                if name is not UNSET and before[field] is not None:
                    claimed = claim(connection, self.author, kind, name, user_id)
                    moved += claimed
                    if claimed:
                        moved.append(release(self.author, kind, before[field], user_id))
            return [self.author.new(user_id, with_changes(connection, stream, event)), *moved]

        names = [(kind, getattr(event, field)) for field, kind in _NAMES.items()]
        streams = [self._name(kind, name) for kind, name in names if name is not UNSET]
        return self.recorder.for_action().decide_from([stream, *streams], decide)[0]

    def has_admin(self) -> bool:
        """Whether the tenant has an active admin, by the log."""
        with self.engine.connect() as connection:
            return has_admin(connection, self.author.tenant_id)

    def change_password(self, user_id: UUID, /, *, password: Secret) -> Placed:
        """Record another password, or the first one; whoever asks has proved who they are.

        Sessions and API keys from before it open nothing any more.

        Raises:
            WeakPassword: when it is too short.
        """
        event = UserPasswordChanged(hashed_password=_hashed(password))
        return self.record((user_id, event))[0]

    def find(self, name: str) -> UUID:
        """Who has this email address or username now, by the log.

        Raises:
            NoSuchUser: when no account has it.
        """
        with self.engine.connect() as connection:
            return find_account(connection, self.author.tenant_id, name)

    def log_in(
        self,
        name: str,
        password: Secret,
        *,
        login_method: str = "password",
        code: Secret | None = None,
    ) -> UUID:
        """Log a user in by password; record the login, or the failed attempt.

        The author need not know the user: the events are the user's.

        Args:
            name: email address or username, in any case.
            password: as it was typed.
            login_method: recorded with it.
            code: of the user's authenticator app, or a recovery code; each is accepted once. A
                user who has not enabled a second factor needs none.

        Raises:
            NotLetIn: for whatever reason; it takes as long whether there is such an account or not.
                After ten failures in a row, at the same time or not, an account is locked for
                fifteen minutes, or until its password is changed; attempts meanwhile are not
                recorded.
        """
        return log_in(
            self.recorder,
            name,
            password,
            login_method=login_method,
            code=code,
            encryption=self.encryption,
            clock=self.clock,
        )

    def prepare_two_factor(self, user_id: UUID, /) -> PreparedFactor:
        """Record a new secret for an authenticator app, encrypted, and return it.

        It counts once `enable_two_factor` is given a code of it; until then logins take what they
        took before.

        Raises:
            EncryptionKeyMissing: when there is no key.
            RuleBroken: when there is no such user, or it is not active.
        """
        secret = new_secret()
        event = UserTwoFactorPrepared(totp_secret=self._encryption.encrypt(secret))
        self.record((user_id, event))
        with self.engine.connect() as connection:
            username = latest_values(connection, self._stream(user_id), ["username"])["username"]
        return PreparedFactor(provisioning_uri(secret, username), secret)

    def enable_two_factor(self, user_id: UUID, /, code: Secret) -> list[Secret]:
        """Require a second factor at each login from now on, and return new recovery codes.

        Args:
            user_id: whose app was prepared.
            code: that the app shows now; it is used up.

        Returns:
            Codes that take the place of the app, each once. They cannot be shown again.

        Raises:
            WrongCode: when nothing is prepared, or the code is not of it now.
            Undecryptable, EncryptionKeyMissing: when the secret cannot be read.
        """
        stream, codes = self._stream(user_id), list[Secret]()

        def decide(connection: Connection) -> list[NewEvent]:
            at = self.clock().timestamp()
            event, codes[:] = confirm(connection, stream, code, self._encryption, at=at)
            return [self.author.new(user_id, event)]

        self.decide_from([stream], decide)
        return codes

    def set_webhook(self, user_id: UUID, /, url: Secret | None) -> Placed:
        """Record where a person's notifications are to go, encrypted; None: nowhere.

        Raises:
            EncryptionKeyMissing: when there is no key.
        """
        stored = None if url is None else self._encryption.encrypt(url)
        return self.change_preferences(user_id, slack_webhook_url=stored)

    def webhook_of(self, user_id: UUID, /) -> Secret | None:
        """The URL to which a person's notifications go.

        Raises:
            Undecryptable: when no key fits.
        """
        with self.engine.connect() as connection:
            latest = latest_values(connection, self._stream(user_id), ["slack_webhook_url"])
        stored = latest["slack_webhook_url"]
        return None if stored is None else self._encryption.decrypt(stored)

    @property
    def _encryption(self) -> Encryption:
        if self.encryption is None:
            raise TypeError(
                "webhooks and second factors require Users(…, encryption=load_encryption(settings))"
            )
        return self.encryption

    def _stream(self, user_id: UUID) -> Stream:
        return self.stream(UserRegistered.entity_type, user_id)

    def _name(self, kind: str, name: str) -> Stream:
        return name_stream(self.author.tenant_id, kind, name)


def require_active(connection: Connection, tenant_id: UUID, user_id: UUID, event_type: str) -> None:
    """Refuse what only an active user may do.

    Raises:
        RuleBroken: when there is no such user, or it was deactivated.
    """
    stream = Stream(tenant_id, UserRegistered.entity_type, user_id)
    state = read_standings(connection, [stream])[stream].state
    if state != "active":
        raise RuleBroken(str(stream), state, event_type, ("active",))


def ended_with(connection: Connection, user_id: UUID, credential: Stream) -> str | None:
    """Return why a session or an API key has ended with something that happened to its user.

    Whoever changes a password, or closes an account, shuts out who has got in before; opening the
    account again does not let them in. None when nothing of the kind happened since.
    """
    ending: str | None = connection.scalar(
        _ENDING,
        {
            "tenant_id": credential.tenant_id,
            "user_id": user_id,
            "kind": credential.entity_type,
            "id": credential.entity_id,
        },
    )
    return ending and _ENDINGS[ending]


def _hashed(password: Secret) -> str:
    characters = password.reveal().strip()
    if len(characters) < SHORTEST_PASSWORD or len(set(characters)) == 1:
        raise WeakPassword(SHORTEST_PASSWORD)
    return hash_password(password)
