"""The forge of a command: opened from the environment's settings, with the schema in place."""

import contextlib
from collections.abc import Collection, Iterator
from uuid import UUID

import click
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from quantum_forge.cli.permissions import CHECKS_ITSELF, LEAST_ROLE, OF_THE_LOG
from quantum_forge.cli.show import console
from quantum_forge.cli.show.lag import note_behind
from quantum_forge.door import acting_person, author_of
from quantum_forge.eventstore.actions.accounts.authorization import (
    refusals_recorded,
    require_role,
)
from quantum_forge.eventstore.base import tracing
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.errors import NeedsDatabase, NeedsPrimary, QuantumForgeError
from quantum_forge.eventstore.database.availability.outage import Patience, reason_of
from quantum_forge.eventstore.database.availability.standby import is_standby
from quantum_forge.eventstore.database.engine import Database, open_database
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.log.wakeups import has_appended
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Person, knows_people
from quantum_forge.forge import Forge
from quantum_forge.projections.follow.refresh import refresh
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.domains.users import Role


@contextlib.contextmanager
def open_forge(
    settings: Settings | None = None,
    *,
    writes: bool = False,
    follows: bool = False,
    reads: Collection[str] = (),
    needs: Collection[str] = (),
) -> Iterator[Forge]:
    """Open the front door for the length of a command; refuse a schema that does not fit.

    The embedded database is migrated where needed.

    Who may not run the command is refused (`cli/permissions.py`). That, and what the database does
    not allow the command, is recorded. The read models that the command reads are brought up to
    date first, and all of them with what it recorded, as far as that is quick
    (`quantum_forge.projections.follow.refresh`).

    Args:
        settings: those of the environment unless given.
        writes: whether the command is of no use on a standby server, which it then refuses.
        follows: whether the command follows the log: it waits for a database that is away at the
            start, as long as it takes, with a line on stderr, and notices one that falls silent.
        reads: the read models that the command is about to read; if they cannot be brought up to
            date quickly, one line on stderr says so.
        needs: the read models that decide what the command does: they are brought up to date
            however long that takes, unless the login may not do it, which one line says.

    Raises:
        NeedsDatabase: when the settings name a served store, and no database.
        RebuildNeeded, FoldFailed, CheckpointDiverged: when what it needs cannot be projected.
    """
    tracing.begin()
    settings = settings or load_settings()
    refuse_store(settings)
    patience = patience_of(follows)
    with (
        patience.persist(
            lambda: Forge(settings, follows=follows, on_migrated=_note_migrations)
        ) as forge,
        refusals_recorded(forge.engine, forge.author, _command()),
    ):
        _require_role(forge.engine, forge.author, forge.person)
        if writes:
            refuse_standby(forge, click.get_current_context().command_path, follows=follows)
        if reads:
            note_behind(patience.persist(lambda: refresh(forge.engine, named(reads))))
        if needs:
            needed = patience.persist(lambda: refresh(forge.engine, named(needs), seconds=None))
            if needed.trouble is not None:
                raise needed.trouble
            note_behind(needed)
        # What follows the log has no end: each of its batches is a trace of its own.
        with (
            contextlib.nullcontext()
            if follows
            else tracing.span(click.get_current_context().command_path)
        ):
            yield forge
        if has_appended(forge.engine):
            _project_own_events(forge)


def refuse_store(settings: Settings) -> None:
    """Refuse a command that reads the database where only a served store is set.

    It would otherwise start an embedded database, and find nothing in it.

    Raises:
        NeedsDatabase
    """
    from quantum_forge.web.client.settings import store_url

    store = store_url()
    if settings.url is None and store is not None:
        raise NeedsDatabase(click.get_current_context().command_path, store)


def _project_own_events(forge: Forge) -> None:
    """Fold what the command recorded; an error is left to the next reader of the read model."""
    with contextlib.suppress(QuantumForgeError, DBAPIError):
        refresh(forge.engine, list(PROJECTIONS.values()))


def require_to_act_for(forge: Forge, user_id: UUID | None) -> None:
    """Let only an admin record in the name of another user; None: no other user is named.

    Raises:
        AccessRefused
    """
    if user_id not in (None, forge.author.user_id):
        require_role(forge.engine, forge.author, forge.person, _command(), Role.ADMIN)


@contextlib.contextmanager
def open_whole_database() -> Iterator[Database]:
    """Open the database for a command that changes or destroys it as a whole.

    Neither its tables nor its migrations need fit. Who may not run the command is refused, where
    the database can say who acts: one without the tables of users is open to its owner.

    Raises:
        AccessRefused
    """
    settings = load_settings()
    refuse_store(settings)
    with open_database(settings) as database:
        if knows_people(database.engine):
            person = acting_person(database.engine, settings)
            _require_role(database.engine, author_of(settings, person), person)
        yield database


@contextlib.contextmanager
def open_for_sql() -> Iterator[Database]:
    """Open the database for statements that the user writes, which nothing checks but PostgreSQL.

    A login that administers the database could change whatever it likes: whoever acts by it must be
    an admin. Any other login is held by its database roles; its user must be active.

    Raises:
        AccessRefused
    """
    settings = load_settings()
    refuse_store(settings)
    with open_database(settings) as database:
        # A database that cannot say who acts may be one that is about to be repaired.
        with contextlib.suppress(DBAPIError):
            if knows_people(database.engine):
                person = acting_person(database.engine, settings)
                needed = Role.ADMIN if person.administers else Role.VIEWER
                if person.user_id is not None:
                    author = author_of(settings, person)
                    require_role(database.engine, author, person, _command(), needed)
        yield database


def _require_role(engine: Engine, author: Author, person: Person) -> None:
    """Refuse a command that the person may not run.

    A login that stands for no user reads what its database roles let it read.

    Raises:
        AccessRefused
    """
    name = " ".join(_words())
    if name in CHECKS_ITSELF:
        return
    needed = LEAST_ROLE.get(name, Role.ADMIN)
    if person.user_id is None and (needed == Role.VIEWER or (person.audits and name in OF_THE_LOG)):
        return
    require_role(engine, author, person, _command(), needed)


def refuse_standby(forge: Forge, what: str, *, follows: bool) -> None:
    """Refuse what writes on a standby; a follower waits for an answer, and not for a promotion.

    Raises:
        NeedsPrimary
    """

    def asked() -> bool:
        with forge.connect() as connection:
            return is_standby(connection)

    if patience_of(follows).persist(asked):
        raise NeedsPrimary(what)


def patience_of(follows: bool) -> Patience:
    """Return what a command waits with for its database: for ever if it follows, else not at all.

    Whatever a command reads before it follows belongs into `persist`, too.
    """
    return Patience(None if follows else 0, on_trouble=tell_trouble)


def tell_trouble(trouble: Exception | None) -> None:
    """Say on stderr what a command waits for, or that it goes on."""
    if trouble is None:
        console.note("The database answers again.")
    else:
        console.note(f"Waiting: {reason_of(trouble)}")


def _note_migrations(applied: list[str]) -> None:
    console.note(f"Migrated the embedded database: {counted(len(applied), 'migration')}.")


def _command() -> str:
    """The name of the command that runs, as an action of the audit trail: `dataset_export`."""
    return "_".join(_words()).replace("-", "_")


def _words() -> list[str]:
    """The command that runs, as it is typed after `qforge`."""
    return click.get_current_context().command_path.split()[1:]
