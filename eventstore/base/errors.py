"""Errors of the event store; each message states what to do next."""

from collections.abc import Collection, Iterable
from pathlib import Path
from uuid import UUID

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.suggestion import suggestion


class QuantumForgeError(Exception):
    """Base of all errors of this project; its text is one line for a person.

    `exit_status` is what the command line exits with. `may_pass`: whether the same may succeed a
    little later by itself, so that it is worth another attempt
    (`quantum_forge.eventstore.database.availability.outage`).
    """

    exit_status = 1
    may_pass = False

    @property
    def while_waiting(self) -> str:
        """The text for a person whose command goes on and tries again by itself."""
        return str(self)


class InvalidSetting(QuantumForgeError):
    """An environment variable or file has a value that cannot be used; secrets are never quoted."""

    exit_status = 2

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"{name} {problem}")


class DotenvSyntaxError(QuantumForgeError):
    """A line of the .env file is not an assignment."""

    exit_status = 2

    def __init__(self, path: Path, line: int, problem: str) -> None:
        self.path = path
        self.line = line
        self.problem = problem
        super().__init__(f"{path}, line {line}: {problem}; correct or remove the line")


class MissingLibrary(QuantumForgeError):
    """A format or a function needs a library that is not installed."""

    exit_status = 2

    def __init__(self, what: str, library: str, extra: str) -> None:
        self.library = library
        super().__init__(
            f"{what} needs {library}: install it with: pip install 'quantum-forge[{extra}]'"
        )


class EmbeddedServerError(QuantumForgeError):
    """The embedded PostgreSQL cannot be used; `advice` says what to do."""

    exit_status = 2

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"the embedded PostgreSQL {problem}; {advice}")


class ServerInUse(EmbeddedServerError):
    """The embedded PostgreSQL is to be stopped while another process uses it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"in {directory} is in use by another process",
            "wait until that process ends, or add --force, which closes its connections",
        )


class DatabaseUnavailable(QuantumForgeError):
    """No connection to the database can be had; `target` is where, without the password.

    advice: what to do next. advises_repetition: that is only to repeat the command. retry_after:
    seconds after which the other side wants to be asked again, if it said so. is_lasting: whether a
    person has to change something first, so that waiting is of no use.
    """

    exit_status = 2
    advises_repetition = False
    retry_after: float | None = None
    is_lasting = False

    def __init__(self, target: str, problem: str, advice: str) -> None:
        self.target = target
        self.problem = problem
        self.advice = advice
        super().__init__(f"{problem}; {advice}")

    @property
    def while_waiting(self) -> str:
        """The problem, and the advice unless that is only to repeat the command."""
        return self.problem if self.advises_repetition else str(self)


class NeedsDatabase(QuantumForgeError):
    """Something needs the database itself, and was asked of a store that is reached by HTTPS."""

    exit_status = 2

    def __init__(self, what: str, where: str) -> None:
        self.what = what
        self.where = where
        super().__init__(
            f"{what} needs the database, and {where} is a served store, which takes runs, retries, "
            "events and spools, and answers requests (docs/how-to/remote-runner.md); run it where "
            "the database is, or set DATABASE_URL"
        )


class DatabaseUnreachable(DatabaseUnavailable):
    """Nothing answers at the database's address, or it is not ready yet."""

    may_pass = True


class DatabaseNotReady(DatabaseUnreachable):
    """The server is starting or stopping."""

    advises_repetition = True


class DatabaseRefused(DatabaseUnavailable):
    """The server answers but does not let this user in: password, role or access rules."""


class UnknownDatabase(DatabaseUnavailable):
    """The server has no database of that name."""


class TooManyConnections(DatabaseUnavailable):
    """The server has no connection left to give."""

    may_pass = True


class ConnectionLost(DatabaseUnavailable):
    """An open connection broke; whether its transaction was committed is unknown."""

    may_pass = True
    advises_repetition = True


class UnsupportedPostgres(DatabaseUnavailable):
    """The server is older than this program supports, or the database is not in UTF-8."""


class LockHeld(DatabaseUnavailable):
    """A lock is held too long by another session, or by one that does no work of this program.

    purpose: the work that waits. holder: the session. pid: its process, if known.
    """

    may_pass = True

    prevention = (
        "; `qforge db roles --restrict-advisory-locks` keeps other logins from taking such locks"
    )

    def __init__(self, purpose: str, holder: str, pid: int | None = None) -> None:
        self.purpose = purpose
        self.holder = holder
        self.pid = pid
        end = "pg_terminate_backend" if pid is None else f"SELECT pg_terminate_backend({pid})"
        super().__init__(
            "the database",
            f"{purpose} cannot continue: a lock is held by {holder}",
            f"end that session ({end}){self.prevention}",
        )


class StreamLocked(LockHeld):
    """Another transaction that appends to the same stream did not end in time."""

    prevention = "; idle_in_transaction_session_timeout ends such sessions automatically"

    def __init__(
        self, holder: str = "another transaction on the same stream", pid: int | None = None
    ) -> None:
        super().__init__("appends", holder, pid)


def held_by(message: str) -> str:
    """Return the holders from the message of `hold_append_floor`."""
    return message.removeprefix("the keys of the append locks are held by ")


class NeedsPrimary(DatabaseUnavailable):
    """A change was asked of a server that accepts none: a standby, or one that is read-only.

    what: the subject of the sentence, such as "qforge run".
    """

    may_pass = True

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            "a standby or a read-only server",
            f"{what} requires the primary, but this server is a standby or read-only",
            "set DATABASE_URL to the primary",
        )


class NoPublishedHead(QuantumForgeError):
    """A standby cannot know up to where the log is complete: its primary never published it."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__(
            "this server is a standby, and its primary has published no safe head: run "
            "`qforge project` on the primary, or set DATABASE_URL to the primary"
        )


class CancelledByReplay(QuantumForgeError):
    """A standby ended a query that stood in the way of replaying the primary's changes."""

    may_pass = True

    _PROBLEM = "the standby cancelled the query because it had to apply changes of its primary"
    _ADVICE = "raise max_standby_streaming_delay on the standby, or query the primary"

    def __init__(self) -> None:
        super().__init__(f"{self._PROBLEM}: run it again, {self._ADVICE}")

    @property
    def while_waiting(self) -> str:
        """The same without the advice to run the query again."""
        return f"{self._PROBLEM}: {self._ADVICE}"


class NotMigrated(QuantumForgeError):
    """The database has none of the tables yet."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__("the database was never migrated; run: qforge db upgrade")


class NotOurDatabase(QuantumForgeError):
    """The database holds objects of another program under the names that this one needs."""

    exit_status = 2

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"the database is another program's: it has {found}. Nothing was changed; give Quantum "
            "Forge one of its own (CREATE DATABASE quantum_forge), and set DATABASE_URL to it"
        )


class MigrationsPending(QuantumForgeError):
    """The database is older than the code."""

    exit_status = 2

    def __init__(self, current: str, pending: int) -> None:
        self.current = current
        self.pending = pending
        super().__init__(
            f"the database is at revision {current}, {pending} behind this program; "
            "run: qforge db upgrade"
        )


class UnknownDomain(QuantumForgeError):
    """A module that is named as a domain does not exist."""

    exit_status = 2

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"there is no module {name}, which QFORGE_DOMAINS or an entry point names as a domain;"
            " install it in the environment of this program, or add its folder to PYTHONPATH"
        )


class DomainRefused(QuantumForgeError):
    """A module that is named as a domain cannot be used."""

    exit_status = 2

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"the domain {name} cannot be used: {reason}; correct its declarations")


class NameInUse(QuantumForgeError):
    """The name of a domain's table belongs to something else in the database."""

    exit_status = 2

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"the database has another table or view named {table}, which no domain created; "
            "rename the domain's table"
        )


class DomainTableDiffers(QuantumForgeError):
    """The table of a domain differs from its declaration in more than added columns."""

    exit_status = 2

    def __init__(self, table: str, column: str, type_: str, declared: str | None) -> None:
        self.table = table
        self.column = column
        now = f"declared as {declared}" if declared else "no longer declared"
        super().__init__(
            f"column {column} of table {table} is {type_} in the database and {now}; columns can"
            " only be added in place. The rows follow from the log: make the table anew with"
            f" qforge rebuild {table}"
        )


class DomainsPending(QuantumForgeError):
    """Tables of domains are not in the database yet, or lack columns."""

    exit_status = 2

    def __init__(self, tables: list[str]) -> None:
        self.tables = tables
        super().__init__(
            f"the database lacks tables, or columns of tables, that domains declare"
            f" ({', '.join(tables)}); run: qforge db upgrade"
        )


LAST_WITH_EVERY_MIGRATION = "df996eb"
"""The commit of Quantum Forge 0.1.0 that has the migrations 0001 to 0028, too."""


class DatabaseNewer(QuantumForgeError):
    """The database is at a revision that this code does not know."""

    exit_status = 2

    def __init__(self, current: str) -> None:
        self.current = current
        super().__init__(
            f"the database is at revision {current}, which this program does not know: it was "
            "migrated by a newer one; install that version of quantum-forge"
        )


class DatabaseOlder(QuantumForgeError):
    """The database is at a revision whose migrations this program no longer has."""

    exit_status = 2

    def __init__(self, current: str, oldest: str) -> None:
        self.current = current
        super().__init__(
            f"the database is at revision {current}, and this program migrates from {oldest} on:"
            f" check out commit {LAST_WITH_EVERY_MIGRATION} of quantum-forge, run there: qforge db"
            " upgrade; then use this program again"
        )


class MigrationNotMade(QuantumForgeError):
    """The next migration cannot be made from the declarations."""

    exit_status = 2

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"no migration was written: {reason}. Change the declarations, or write the SQL by"
            ' hand: qforge db migration new "message" --empty'
        )


class MigrationsUnreadable(QuantumForgeError):
    """The files of the migrations are no chain: one is damaged, missing or there twice."""

    exit_status = 2

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the migrations cannot be read: {' '.join(reason.split())}; restore the files in"
            " schema/migrations/versions, as with git restore, or install the package again"
        )


class UnknownRevision(QuantumForgeError):
    """No migration has this name."""

    exit_status = 2

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"there is no migration {revision!r}; give a revision, head, base, or steps such as -1"
        )


class EventRefused(QuantumForgeError):
    """An event is not what its type says; nothing of the call was appended."""

    def __init__(self, event_type: str, reason: str) -> None:
        self.event_type = event_type
        self.reason = reason
        super().__init__(f"{event_type}: {reason}")


class EventTooLarge(EventRefused):
    """An event has more bytes than the log takes; nothing of the call was appended.

    size: bytes of its data and metadata as JSON.
    """

    def __init__(self, event_type: str, event_id: UUID, size: int, limit: int) -> None:
        self.event_id = event_id
        self.size = size
        self.limit = limit
        super().__init__(
            event_type,
            f"event {event_id} has {size:,} bytes of data and metadata, and the limit is "
            f"{limit:,}: keep the large part in a file, and record where the file is",
        )


class AppendTooLarge(EventRefused):
    """An append has more bytes than one transaction shall have; nothing was appended.

    size: bytes of all events as JSON.
    """

    def __init__(self, events: int, size: int, limit: int) -> None:
        self.events = events
        self.size = size
        self.limit = limit
        super().__init__(
            "append",
            f"the first {events:,} events have {size:,} bytes together, and the limit of one "
            f"append is {limit:,}: append them in several calls, or with eventstore/log/load.py",
        )


class VersionConflict(QuantumForgeError):
    """A stream is not at the version that an append expected; nothing was appended."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        wanted = {0: "not to exist", -1: "to exist"}.get(expected, f"at version {expected}")
        found = f"at version {actual}" if actual else "not there"
        super().__init__(f"{stream} was expected {wanted} but is {found}: read it and decide again")


class EventIdReused(QuantumForgeError):
    """An event id came back with other content; nothing was appended."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: give every event an id of its own")


class LogIsAppendOnly(QuantumForgeError):
    """A statement would change or delete an event."""

    def __init__(self) -> None:
        super().__init__("the log is append-only: append an event that says what changed")


class UnsafeIsolation(QuantumForgeError):
    """The log was used in a transaction that cannot see what was committed meanwhile."""

    def __init__(self, *, may_pass: bool = False) -> None:
        # Under READ COMMITTED a standby cancels what conflicts with its recovery in the same words.
        self.may_pass = may_pass
        super().__init__("use the log under READ COMMITTED: otherwise events could be skipped")


class OtherTenant(QuantumForgeError):
    """A session appended an event of a tenant that it does not act for; nothing was appended."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; set QFORGE_TENANT_ID, or connect as a member of qforge_admin")


class RoleMissing(QuantumForgeError):
    """The database's roles are not there, and this login may not make them."""

    exit_status = 2

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}: let an administrator run what `qforge db roles --sql` prints")


class GatewayMissing(QuantumForgeError):
    """The server has not the roles by which Supabase and PostgREST act; nothing was granted."""

    exit_status = 2

    def __init__(self, missing: Collection[str]) -> None:
        self.missing = missing
        made = "; ".join(f"CREATE ROLE {name} NOLOGIN" for name in missing)
        super().__init__(
            f"the server has no role {', '.join(missing)}, by which Supabase and PostgREST act: "
            f"let an administrator run {made}; then repeat the command"
        )


class LoginNotBound(QuantumForgeError):
    """A login cannot be bound to a tenant, or is not bound."""

    def __init__(self, login: str, reason: str) -> None:
        self.login = login
        self.reason = reason
        super().__init__(f"{login} is not bound to a tenant: {reason}")


class NotAllowed(QuantumForgeError):
    """The login has no right to what it tried."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; `qforge db roles` shows which role may do what")


class AccessRefused(QuantumForgeError):
    """A user may not do what was asked.

    needed: the least role that may. advice: who can grant it, and how. is_recorded: whether the log
    has the attempt.
    """

    def __init__(
        self, action: str, reason: str, *, needed: str | None, advice: str, is_recorded: bool
    ) -> None:
        self.action = action
        self.reason = reason
        self.needed = needed
        self.is_recorded = is_recorded
        recorded = "; the attempt was recorded" if is_recorded else ""
        super().__init__(f"{action} is not allowed: {reason}{recorded}; {advice}")


class UnknownLogin(QuantumForgeError):
    """The database server has no such login."""

    exit_status = 2

    def __init__(self, login: str) -> None:
        super().__init__(
            f"the database server has no login {login!r}; its administrator makes it: CREATE ROLE "
            "… LOGIN, with a role that qforge db roles shows"
        )


class LoginNotLinked(QuantumForgeError):
    """A login of the database acts as no user; nothing was recorded."""

    def __init__(self, login: str) -> None:
        self.login = login
        super().__init__(
            f"the database login {login!r} is linked to no user; qforge whoami shows yours"
        )


class LastAdmin(QuantumForgeError):
    """Nobody would be left who may administer accounts."""

    def __init__(self, user: str) -> None:
        super().__init__(
            f"{user} is the only active admin of the tenant; make somebody else admin first: "
            "qforge users role USER admin"
        )


class SpoolUnwritable(QuantumForgeError):
    """The local spool takes no more: a full disk, a quota, a broken device."""

    def __init__(self, path: Path, reason: str, what: str) -> None:
        self.path = path
        self.reason = reason
        self.what = what
        super().__init__(
            f"{what} was NOT recorded: the spool file {path} cannot be written ({reason}); "
            "free some space, or set QFORGE_HOME to a place that has some, and repeat it"
        )


class SpoolDamaged(QuantumForgeError):
    """Bytes in the middle of a spool file are not what was written; nothing after was touched."""

    def __init__(self, path: Path, offset: int, intact: int) -> None:
        self.path = path
        self.offset = offset
        self.intact = intact
        super().__init__(
            f"{path} is damaged at byte {offset}; the appends before it are drained, the {intact} "
            "intact appends after it wait: restore the file from a backup, or continue without "
            "the damaged bytes, which are kept, with: qforge spool drain --past-damage"
        )


class SpoolEntryUnusable(QuantumForgeError):
    """An entry of the spool cannot be read or handled; it was left as it is."""

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        self.path = path
        self.reason = reason
        self.advice = advice
        super().__init__(f"{path} was left as it is ({reason}): {advice}")


class DrainStopped(QuantumForgeError):
    """The database takes no more of the spool now; what it has not taken is still there."""

    exit_status = 2

    def __init__(self, directory: Path, events: int, reason: str) -> None:
        self.directory = directory
        self.events = events
        self.reason = reason
        super().__init__(
            f"the database took {counted(events, 'spooled event')} and then failed ({reason}); "
            f"the others are safe in {directory}: run qforge spool drain when the database is back"
        )


class FollowsRejected(VersionConflict):
    """An event expects a version that only an append which the database refused would have made."""

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(stream, expected, 0)
        self.args = (
            f"{stream} was expected at version {expected}, but an earlier spooled append to it was "
            "refused: read it and decide again",
        )


class CalculationEnded(QuantumForgeError):
    """A calculation that has ended was ended again; the first end stands."""

    def __init__(self, calculation: str, ended: str, again: str) -> None:
        self.calculation = calculation
        self.ended = ended
        self.again = again
        super().__init__(
            f"calculation {calculation} has already ended ({ended}), so {again} was not recorded; "
            "end each calculation once"
        )


class RuleBroken(QuantumForgeError):
    """Something may not happen to an entity in the state that it is in; nothing was appended.

    allowed: the states in which it may. name: what a person calls the entity, where that is known.
    """

    def __init__(
        self,
        entity: str,
        state: str,
        event_type: str,
        allowed: tuple[str, ...],
        *,
        name: str | None = None,
    ) -> None:
        self.entity = entity
        self.state = state
        self.event_type = event_type
        self.allowed = allowed
        if name is not None:
            super().__init__(f"{_standing(name, state, allowed)}: nothing was recorded")
            return
        if state == "new":
            found = f"{entity} does not exist"
        elif allowed == ("new",):
            found = f"{entity} exists already ({state})"
        else:
            found = f"{entity} is {state}"
        needs = " or ".join("not yet there" if name == "new" else name for name in allowed)
        super().__init__(f"{found}; {event_type} needs it to be {needs}: nothing was recorded")


def _standing(name: str, state: str, allowed: Collection[str]) -> str:
    """Why something may not happen to what a person calls so."""
    if "new" in allowed:
        return f"{name} is {state} already"
    needed = " or ".join(allowed)
    return f"{name} is not {needed}" if state == "new" else f"{name} is {state}, not {needed}"


class NameTaken(QuantumForgeError):
    """An email address or username belongs to another account; nothing was recorded.

    kind: what is taken, in words.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"the {kind} {name} is taken: choose another one")


class NameOfAnother(NameTaken):
    """Another project or organisation of the tenant has this name; nothing was recorded."""

    def __init__(self, kind: str, name: str, holder: UUID) -> None:
        QuantumForgeError.__init__(
            self,
            f"the name {name!r} is taken by the {kind} {holder}: choose another one, so that each "
            "can be found by its name",
        )
        self.kind = kind
        self.name = name
        self.holder = holder


class NoSuchUser(QuantumForgeError):
    """No account has this email address or username."""

    def __init__(self, name: str, similar: Iterable[str] = ()) -> None:
        self.name = name
        hint = suggestion(name, similar, otherwise="qforge users list shows them")
        super().__init__(f"there is no user {name!r}; {hint}")


class WrongSearch(QuantumForgeError):
    """What is searched for cannot be: it is empty or too long, or is no SMARTS or SMILES."""

    exit_status = 2


class WeakPassword(QuantumForgeError):
    """A password is too easy to guess; nothing was recorded."""

    exit_status = 2

    def __init__(self, shortest: int) -> None:
        super().__init__(
            f"a password must have at least {shortest} characters, not all the same and without "
            "the blanks at its ends: choose a longer one"
        )


class MixedScripts(QuantumForgeError):
    """A user name has letters of several scripts, which makes it look like another one."""

    exit_status = 2

    def __init__(self, name: str, scripts: Collection[str]) -> None:
        self.name = name
        self.scripts = scripts
        super().__init__(
            f"the user name {name!a} has letters of several scripts "
            f"({', '.join(sorted(scripts))}): use one script"
        )


class NotLetIn(QuantumForgeError):
    """A password, key or token is not accepted; the attempt was recorded.

    reason: for the log and for an administrator. The message, which the caller sees, does not show
    whether the account exists.
    """

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"{what}: access denied")


class WrongCode(QuantumForgeError):
    """A code does not confirm an authenticator app; nothing was recorded."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class EncryptionKeyMissing(QuantumForgeError):
    """No encryption key is configured."""

    exit_status = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"there is no encryption key: set QFORGE_ENCRYPTION_KEYS, or make the file {path} with:"
            " qforge db encryption-key"
        )


class Undecryptable(QuantumForgeError):
    """What was encrypted cannot be read with the keys that there are."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__(
            "no encryption key decrypts the stored value: add the key that encrypted it to "
            "QFORGE_ENCRYPTION_KEYS or to the key file, after the first one"
        )
