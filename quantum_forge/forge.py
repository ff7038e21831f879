"""The front door: one object that records, reads, projects and looks after an event log."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Table

from quantum_forge import installation, read_models, reading, recording, searching, time_travel
from quantum_forge.door import Door, settings_of
from quantum_forge.eventstore.base.errors import EncryptionKeyMissing
from quantum_forge.eventstore.database.settings import Settings
from quantum_forge.projections.registry import PROJECTIONS

if TYPE_CHECKING:
    from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
    from quantum_forge.eventstore.actions.accounts.logins import Logins
    from quantum_forge.eventstore.actions.accounts.users import Users
    from quantum_forge.training_sets import Datasets


def open(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    home: Path | None = None,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
    user: str | None = None,
) -> "Forge":
    """Open the event log of the settings, and return the forge that reads and writes it.

    The settings are those of the environment and the .env file: see .env.example. Without a
    database there, the embedded PostgreSQL is started, and its tables are created.

    Args:
        url: of the database, such as postgresql://user@host:5432/name, instead of the settings'.
        settings: instead of those of the environment.
        home: the directory of the embedded server and of the spool, instead of the settings'.
        tenant_id: who owns what is read and recorded, instead of the settings'.
        user_id: who records, instead of the settings'. Only a login that administers the
            database may name another user than the one that it is linked to.
        user: the same, as a user name or an email address.

    Raises:
        AccessRefused: when the login may not act as that user.
        NoSuchUser: when no account has the name.
        InvalidSetting: when a setting or `url` cannot be used.
        DatabaseUnavailable: when there is no connection to the database.
        EmbeddedServerError: when the embedded server cannot be started.
        NotMigrated, MigrationsPending, DatabaseNewer: when the tables of a database of your own
            are not those of this program; `qforge db upgrade` creates or changes them.
    """
    return Forge(settings_of(url, settings, home, tenant_id, user_id), user=user)


class Forge(Door):
    """An event log and everything that is done with it; `open` makes it.

    Close it, or use it in a `with`. Threads may share it. Each method that writes commits. Whatever
    needs the database raises `DatabaseUnavailable` while it is away, and any method raises
    `ForgeClosed` after `close`.

    Attributes:
        settings: that it was opened with.
        author: who records, for which tenant.
        person: who that is, and what they may do.
    """

    record = recording.record
    molecule = recording.molecule
    calculation = recording.calculation
    new = recording.new
    append = recording.append
    load = recording.load

    events = reading.events
    table = reading.table
    query = reading.query
    position = reading.position

    search = searching.search
    substructure = searching.substructure
    similar = searching.similar

    as_of = time_travel.as_of
    diff = time_travel.diff
    explain = time_travel.explain

    catch_up = read_models.catch_up
    projecting = read_models.projecting
    wait_for = read_models.wait_for
    rebuild = read_models.rebuild
    verify = read_models.verify

    status = installation.status
    doctor = installation.doctor

    @property
    def tables(self) -> Mapping[str, Table]:
        """Every read model by name, as a SQLAlchemy Core table, for `query`."""
        return {name: projection.table for name, projection in PROJECTIONS.items()}

    @property
    def datasets(self) -> "Datasets":
        """Training sets: export, reproduce, compare."""
        from quantum_forge.training_sets import Datasets  # pyarrow is worth its time only here

        self._require_open()
        return Datasets(self)

    @property
    def users(self) -> "Users":
        """Accounts of the tenant: register, log in, change; see `Users`."""
        from quantum_forge.eventstore.actions.accounts.users import Users
        from quantum_forge.eventstore.security.encryption import load_encryption

        try:
            encryption = load_encryption(self.settings)
        except EncryptionKeyMissing:
            encryption = None  # only webhooks and second factors need it
        self._require_open()
        return Users(self._recorder, encryption=encryption)

    @property
    def logins(self) -> "Logins":
        """Logins of the database that act as users of the tenant: link, unlink; see `Logins`."""
        from quantum_forge.eventstore.actions.accounts.logins import Logins

        self._require_open()
        return Logins(self._recorder)

    @property
    def keys(self) -> "ApiKeys":
        """API keys of the tenant's users: issue, use, revoke; see `ApiKeys`."""
        from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys

        self._require_open()
        return ApiKeys(self._recorder)
