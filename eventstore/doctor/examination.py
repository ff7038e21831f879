"""Examines an installation: one finding after the other, whatever is broken, never an exception."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.actions.accounts.names import find_account
from quantum_forge.eventstore.base.errors import (
    DatabaseNewer,
    DatabaseOlder,
    DatabaseUnavailable,
    EmbeddedServerError,
    MigrationsPending,
    NotAllowed,
    NotMigrated,
    QuantumForgeError,
)
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.engine import open_database, where
from quantum_forge.eventstore.database.given_address import login_name
from quantum_forge.eventstore.database.installation.migrations import (
    migration_state,
    require_migrated,
)
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.doctor.checks import (
    Check,
    Finding,
    Level,
    activity,
    definitions,
    guards,
    log,
    ok,
    others,
    privileges,
    problem,
    server,
)
from quantum_forge.eventstore.doctor.checks import warning as warning_of
from quantum_forge.eventstore.doctor.checks.spool import spool
from quantum_forge.eventstore.recording.person import knows_people, read_person
from quantum_forge.eventstore.server.unprivileged import user_of

PATIENCE = 30.0
"""Seconds that one check may take, unless it is thorough."""

OF_ANY_SERVER: Mapping[str, Check] = {
    "server": server.answers,
    "version": server.version,
    "durability": server.durability,
    "clock": server.clock,
    "roles": privileges.roles,
    "login": privileges.login,
    "idle sessions": activity.idle_sessions,
}
OF_THE_SCHEMA: Mapping[str, Check] = {
    "tables": privileges.tables,
    "table definitions": definitions.definitions,
    "owners": definitions.owners,
    "grants": privileges.grants,
    "row-level security": privileges.row_security,
    "schema": privileges.schema,
    "logins": privileges.logins,
    "memberships": others.memberships,
    "bindings": others.bindings,
    "other objects": others.objects,
    "functions": guards.functions,
    "append-only": guards.append_only,
    "partitions": log.partitions,
    "sequence": log.sequence,
    "end of the log": log.end_of_log,
    "stream heads": log.heads,
    "writers": activity.writers,
    "advisory locks": activity.advisory_locks,
}


def examine(
    *, more: Mapping[str, Check] | None = None, thorough: bool = False, dotenv: Path = Path(".env")
) -> Iterator[Finding]:
    """Examine what the environment's settings lead to; each finding as soon as it is made.

    Args:
        more: further checks of the schema, of layers above.
        thorough: look at every stream instead of a sample, however long it takes.
        dotenv: the file of settings.
    """
    try:
        settings = load_settings(dotenv=dotenv)
    except QuantumForgeError as error:
        yield problem("settings", str(error), "correct it where it is set")
        return
    yield _settings(settings)
    yield _guarded("spool", partial(spool, settings.home))
    try:
        database = open_database(settings)
    except (DatabaseUnavailable, EmbeddedServerError) as error:
        yield problem("server", error.problem, error.advice)
        return
    except (QuantumForgeError, DBAPIError) as error:
        yield problem("server", _reason(error))
        return
    with database:
        yield _guarded("user", partial(_user, database.engine, settings))
        yield from examine_database(database.engine, more=more, thorough=thorough)


def examine_database(
    engine: Engine, *, more: Mapping[str, Check] | None = None, thorough: bool = False
) -> Iterator[Finding]:
    """Examine a database that can be reached."""
    for name, check in OF_ANY_SERVER.items():
        yield _checked(engine, name, check)
    migrations = _guarded("migrations", partial(_migrations, engine))
    yield migrations
    if migrations.level is not Level.OK:
        # Another schema than this program's would give one misleading finding after the other.
        return
    for name, check in {**OF_THE_SCHEMA, **(more or {})}.items():
        if name == "stream heads" and thorough:
            yield _checked(engine, name, partial(log.heads, thorough=True), patience=0)
        else:
            yield _checked(engine, name, check)


def examine_guards(engine: Engine) -> Iterator[Finding]:
    """Examine what keeps the log from being changed, which proofs about tables rely on."""
    for name in ("functions", "append-only"):
        yield _checked(engine, name, OF_THE_SCHEMA[name])


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether none of them is a problem."""
    return all(finding.level is not Level.PROBLEM for finding in findings)


def _checked(engine: Engine, name: str, check: Check, *, patience: float = PATIENCE) -> Finding:
    """Return the finding of a check, which runs in its own transaction and changes nothing."""

    def run() -> Finding:
        with engine.connect() as connection:
            _limit(connection, patience)
            finding = check(connection)
            connection.rollback()
            return finding

    return _guarded(name, run)


def _guarded(name: str, run: Callable[[], Finding]) -> Finding:
    """What a check finds; or why it cannot find anything."""
    try:
        return run()
    except NotAllowed as error:
        return warning_of(
            name,
            f"not checked: {_reason(error.__cause__ or error)}",
            "connect as a member of qforge_admin",
        )
    except DatabaseUnavailable as error:
        return problem(name, error.problem, error.advice)
    except (QuantumForgeError, DBAPIError, OSError) as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) == "57014":
            return warning_of(
                name,
                f"not finished within {PATIENCE:g} s",
                "try again when the server is less busy",
            )
        return problem(name, f"cannot be checked: {_reason(error)}")


def _limit(connection: Connection, seconds: float) -> None:
    connection.execute(
        text(
            "SELECT set_config('statement_timeout', :timeout, true),"
            " set_config('lock_timeout', '2s', true), set_config('jit', 'off', true)"
        ),
        {"timeout": str(int(seconds * 1000))},
    )


def _settings(settings: Settings) -> Finding:
    place = (
        f"{libpq_url(settings.url, hide_password=True)} ({settings.source})"
        if settings.url is not None
        else f"{settings.source} in {settings.home / 'postgres'}, with the rights of user "
        f"{user_of(settings.home / 'postgres') or login_name()}"
    )

    def given(variable: str) -> str:
        return variable if os.environ.get(variable) else "default or .env"

    named = (
        f"user {settings.user_name or settings.user_id} (QFORGE_USER_ID); "
        if settings.user_is_given
        else ""
    )
    return ok(
        "settings",
        f"database {place}; tenant {settings.tenant_id} ({given('QFORGE_TENANT_ID')}); {named}"
        f"home {settings.home} ({given('QFORGE_HOME')})",
    )


def _user(engine: Engine, settings: Settings) -> Finding:
    """Who acts, and whether that is possible."""
    check = "user"
    if not knows_people(engine):
        return ok(check, "not known: the database has no users, or the login no role in it")
    claimed = settings.user_id if settings.user_is_given else None
    with engine.connect() as connection:
        if settings.user_name is not None:
            claimed = find_account(connection, settings.tenant_id, settings.user_name)
        person = read_person(connection, settings.tenant_id, claimed, is_named=True)
    login = f"the database login {person.login}"
    if not person.has_users:
        return ok(check, f"{login} may do everything: the tenant has no users")
    if not person.may_act or (person.user_id is not None and person.power is None):
        return problem(check, *person.refusal(None))
    if person.user_id is None:
        return ok(check, f"{login} acts as no user")
    return ok(check, f"{login} acts as {person.name} ({person.power})")


def _migrations(engine: Engine) -> Finding:
    check = "migrations"
    try:
        require_migrated(engine)
    except (NotMigrated, MigrationsPending) as error:
        found, _, _ = str(error).partition("; run:")
        return problem(
            check, f"{found} ({where(engine.url)})", "create the tables", "qforge db upgrade"
        )
    except DatabaseNewer as error:
        return problem(
            check,
            f"the database is at revision {error.current}, which this program does not know",
            "install the newer version of quantum-forge that migrated it",
            "pip install --upgrade quantum-forge",
        )
    except DatabaseOlder as error:
        found, _, advice = str(error).partition(": ")
        return problem(check, found, advice)
    return ok(check, f"at revision {migration_state(engine).current}, the newest")


def _reason(error: BaseException) -> str:
    if isinstance(error, DBAPIError):
        error = error.orig or error
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or (str(error).splitlines() or [type(error).__name__])[0])
