"""The front door: one object that records, reads, projects and looks after an event log."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Select, Table, select

from quantum_forge.eventstore.actions.by_name import Recorded, record_event
from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Position,
    RecordedEvent,
    Stream,
)
from quantum_forge.eventstore.base.errors import (
    EncryptionKeyMissing,
    QuantumForgeError,
    RuleBroken,
)
from quantum_forge.eventstore.database.engine import Database, open_database
from quantum_forge.eventstore.database.installation.migrations import migrate_embedded
from quantum_forge.eventstore.database.settings import (
    Settings,
    load_settings,
    parse_database_url,
)
from quantum_forge.eventstore.doctor.checks import Finding
from quantum_forge.eventstore.doctor.examination import examine_database
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.load import EncodedEvent, Loaded, load
from quantum_forge.eventstore.log.read import Filter, read_all
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.calculation import CalculationRecording, Classify
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.rules import read_standings
from quantum_forge.eventstore.spool.file import spool_directory
from quantum_forge.moments import Moment, position_of, time_of
from quantum_forge.projections.follow.background import BackgroundProjector
from quantum_forge.projections.follow.waiting import TIMEOUT, wait_for
from quantum_forge.projections.history import lineage
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.history.difference import Difference, difference
from quantum_forge.projections.history.verify import Verification, verify
from quantum_forge.projections.operate.checks import CHECKS
from quantum_forge.projections.operate.status import Status, read_status
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import Rebuilt, rebuild_all
from quantum_forge.projections.registry import PROJECTIONS, named
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.projection import Projection
from quantum_forge.table import Query

if TYPE_CHECKING:
    from quantum_forge.eventstore.actions.api_keys import ApiKeys
    from quantum_forge.eventstore.actions.users import Users
    from quantum_forge.training_sets import Datasets

Entity = UUID | Recorded
"""An entity: its id, or what `Forge.record` returned of it."""

Kind = str | type[Event]
"""An event type: its class, or its name such as "molecule_created"."""

Answer = TypeVar("Answer")

_IDENTIFYING = threading.Lock()
"""RDKit's messages are collected from a log that the whole process shares."""


class ForgeClosed(QuantumForgeError):
    """A forge was used after it was closed."""

    def __init__(self) -> None:
        super().__init__("this forge is closed: open another one with quantum_forge.open()")


class EngineMissing(QuantumForgeError):
    """RDKit, which identifies molecules, is not installed."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__(
            "molecules are identified by RDKit, which is not installed: run "
            "pip install 'quantum-forge[xtb]', or record a MoleculeCreated event of your own"
        )


def open(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    home: Path | None = None,
    tenant_id: UUID | None = None,
    user_id: UUID | None = None,
) -> "Forge":
    """Open the event log of the settings, and return the forge that reads and writes it.

    The settings are those of the environment and the .env file: see .env.example. Without a
    database there, the embedded PostgreSQL is started, and its tables are created.

    Args:
        url: of the database, such as postgresql://user@host:5432/name, instead of the settings'.
        settings: instead of those of the environment.
        home: the directory of the embedded server and of the spool, instead of the settings'.
        tenant_id: who owns what is read and recorded, instead of the settings'.
        user_id: who records, instead of the settings'.

    Raises:
        InvalidSetting: when a setting or `url` cannot be used.
        DatabaseUnavailable: when there is no connection to the database.
        EmbeddedServerError: when the embedded server cannot be started.
        NotMigrated, MigrationsPending, DatabaseNewer: when the tables of a database of your own
            are not those of this program; `qforge db upgrade` creates or changes them.
    """
    return Forge(settings_of(url, settings, home, tenant_id, user_id))


def settings_of(
    url: str | None,
    settings: Settings | None,
    home: Path | None,
    tenant_id: UUID | None,
    user_id: UUID | None,
) -> Settings:
    """The settings, with what the arguments of `open` replace."""
    given: dict[str, Any] = {"home": home, "tenant_id": tenant_id, "user_id": user_id}
    if url is not None:
        given |= {"url": parse_database_url(url, variable="url"), "source": "url"}
    given = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(settings or load_settings(), **given)


class Forge:
    """An event log and everything that is done with it; `open` makes it.

    Close it, or use it in a `with`. Threads may share it. Each method that writes commits. Whatever
    needs the database raises `DatabaseUnavailable` while it is away, and any method raises
    `ForgeClosed` after `close`.

    Attributes:
        settings: that it was opened with.
        author: who records, for which tenant.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        follows: bool = False,
        on_migrated: Callable[[list[str]], object] = lambda _: None,
    ) -> None:
        """Open the database; raises what `open` does.

        Args:
            settings: see `open`.
            follows: whether it is there to follow the log, so that no answer is waited for longer
                than the deadline of the settings.
            on_migrated: called with the migrations that the embedded database lacked.
        """
        self.settings = settings
        self.author = Author(tenant_id=settings.tenant_id, user_id=settings.user_id)
        self._closed = threading.Event()
        self._database = _opened(settings, follows, on_migrated)
        announce_appends(self._database.engine)
        self._recorder = Recorder(
            self._database.engine, self.author, spool=spool_directory(settings.home)
        )
        self._lent: Connection | None = None

    # The connection

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the database, for what the forge does not offer."""
        self._require_open()
        return self._database.engine

    def connect(self) -> AbstractContextManager[Connection]:
        """Return a SQLAlchemy connection for the length of a `with`; what is not committed is lost.

        Its transactions act for the forge's tenant as far as the login is bound to row-level
        security; a login that sees every tenant has to restrict its own statements.
        """
        self._require_open()
        return nullcontext(self._lent) if self._lent is not None else self._connected()

    def close(self) -> None:
        """Close all connections, and let go of the embedded server; a second call does nothing.

        What was recorded while the database was away stays in the spool: see `qforge spool drain`.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._recorder.close()
        finally:
            self._database.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<forge of {self.settings!r}>"

    # Recording

    def record(
        self, event: Event, *, of: Entity | None = None, expected_version: int | None = None
    ) -> Recorded:
        """Record that something happened to an entity, if the rules of its lifecycle allow it.

        Args:
            event: what happened, such as `MoleculeDeleted()`; every event type is in
                the catalogue.
            of: to which entity. Without it, an event that begins an entity begins a new one, or the
                one that its fields identify.
            expected_version: of the entity's stream before, where only that will do; 0: no events.

        Returns:
            Where the event is, and the id of its entity; other methods accept it as the entity.

        Raises:
            EventRefused: when a field does not fit, or the event needs an entity and has none.
            RuleBroken: when it may not happen in the present state of the entity.
            VersionConflict: when the stream is not at the expected version.
        """
        self._require_open()
        return record_event(
            self._recorder.without_spool(),
            event,
            of=None if of is None else _id_of(of),
            expected_version=expected_version,
        )

    def molecule(
        self,
        smiles: str,
        *,
        name: str | None = None,
        charge: int | None = None,
        multiplicity: int | None = None,
    ) -> UUID:
        """Return the id of a molecule, which is recorded unless the log has it. Needs RDKit.

        Args:
            smiles: in any notation; the canonical one is recorded.
            name: recorded with a new molecule.
            charge: in e; the formal charge of the SMILES unless given.
            multiplicity: 2S + 1; the lowest that the number of electrons allows unless given.

        Raises:
            InputError: when the SMILES is no molecule, or charge or multiplicity contradict it.
            EngineMissing: when RDKit is not installed.
        """
        self._require_open()
        event = _identified(smiles, name, charge, multiplicity)
        tenant_id = self.author.tenant_id
        id_ = molecule_id(tenant_id, event.structure, event.charge, event.multiplicity)
        stream = Stream(tenant_id, event.entity_type, id_)
        with self.connect() as connection:
            state = read_standings(connection, [stream])[stream].state
        if state != "present":
            try:
                self.record(event)
            except RuleBroken as broken:
                if broken.state != "present":
                    raise  # somebody else was faster otherwise
        return id_

    def calculation(
        self,
        molecule: Entity | None,
        *,
        method: str,
        program: str = "unknown",
        program_version: str = "unknown",
        charge: int | None = None,
        multiplicity: int | None = None,
        solvation_model: str | None = None,
        timeout_seconds: float = 3600.0,
        batch_id: UUID | None = None,
        calculation_id: UUID | None = None,
        expected_version: int | None = MUST_NOT_EXIST,
        attempt: int = 1,
        classify: Classify | None = None,
    ) -> CalculationRecording:
        """Record an attempt at a calculation: its start when a `with` begins, its end within it.

            with forge.calculation(methane, method="GFN2-xTB") as calculation:
                calculation.complete(compute())

        A block that raises records a failure; one that is interrupted, or left without an end,
        records the attempt as lost. While the database is away, the events go to the spool.

        Args:
            molecule: that is calculated; None where the input is no molecule.
            method: such as GFN2-xTB.
            program: that computes.
            program_version: of it.
            charge: in e.
            multiplicity: 2S + 1.
            solvation_model: such as ALPB(water); None for the gas phase.
            timeout_seconds: in s; after this time anyone may record the attempt as lost.
            batch_id: that it belongs to.
            calculation_id: of an earlier attempt, or a natural id; a new one if None.
            expected_version: of the calculation's stream before this attempt.
            attempt: counts from 1.
            classify: returns what an exception means; without it, that is an unknown error.
        """
        self._require_open()
        return self._recorder.calculation(
            None if molecule is None else _id_of(molecule),
            method=method,
            program=program,
            program_version=program_version,
            charge=charge,
            multiplicity=multiplicity,
            solvation_model=solvation_model,
            timeout_seconds=timeout_seconds,
            batch_id=batch_id,
            calculation_id=calculation_id,
            expected_version=expected_version,
            attempt=attempt,
            classify=classify,
        )

    def new(
        self, event: Event, *, of: Entity, expected_version: int | None = ANY_VERSION
    ) -> NewEvent:
        """Return an event of this author, now, for `append` or `load`; nothing is written.

        Args:
            event: what happened.
            of: to which entity, whether the log has it or not.
            expected_version: of its stream before: a number, or 0 for no events yet, or -1 for at
                least one; None: any. `load` takes None only.
        """
        return self.author.new(_id_of(of), event, expected_version=expected_version)

    def append(self, events: Sequence[NewEvent]) -> list[Placed]:
        """Append events to their streams, all or none, in the given order, without any rules.

        An event whose id is in its stream already is not appended again: repeat the call with the
        same events until it is known to have succeeded.

        Returns:
            Where each event is, in the given order.

        Raises:
            EventRefused: when a payload does not fit its type; nothing was sent.
            EventTooLarge, AppendTooLarge: beyond the limits of the log; nothing was sent.
            VersionConflict: when a stream is not at its expected version.
            EventIdReused: when an id comes back with other content.
            StreamLocked: when another transaction holds a stream for too long.
        """
        with self.connect() as connection, connection.begin():
            return append(connection, events)

    def load(self, events: Iterable[NewEvent | EncodedEvent]) -> Loaded:
        """Append any number of events in bounded memory, in chunks that each commit, without rules.

        What is committed when a load fails stays; the same load again appends exactly the rest.

        Returns:
            How many were appended, and how many were in the log already.

        Raises:
            EventRefused: when an event does not fit its type, or expects a version.
            EventTooLarge: when an event is larger than the log takes.
            EventIdReused: when an id comes back with other content.
        """
        return load(self.engine, events)

    # Reading

    def events(
        self,
        *,
        entity: Entity | None = None,
        types: Kind | Iterable[Kind] | None = None,
        user_id: UUID | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        after: int = 0,
        upto: int | None = None,
        backward: bool = False,
        limit: int | None = None,
        follow: bool = False,
        stop: threading.Event | None = None,
    ) -> Iterator[RecordedEvent]:
        """Iterate over the tenant's events in order of position; what is None does not restrict.

        Reads up to the safe head of the moment at which it starts, skips no event, and holds one
        connection until it is exhausted or closed.

        Args:
            entity: only its events.
            types: only events of this type, or of these.
            user_id: only what this user recorded.
            since: only what occurred at or after this time; text as "2h" or "2026-11-20T14:30".
            until: only what occurred before this time.
            after: only positions above this one.
            upto: only positions up to this one.
            backward: the newest first.
            limit: at most so many.
            follow: go on for ever, with each new event soon after its append; while the database
                is away, wait for up to 5 minutes.
            stop: with `follow`, ends the iteration, within 50 ms.

        Raises:
            WrongMoment: when a time cannot be read.
            ValueError: for `follow` together with `upto` or `backward`.
        """
        self._require_open()
        where = Filter(
            tenant_id=self.author.tenant_id,
            entity_id=None if entity is None else _id_of(entity),
            types=_types(types),
            user_id=user_id,
            since=time_of(since),
            until=time_of(until),
        )
        if not follow:
            return self._read(where, after, upto, backward, limit)
        if upto is not None or backward:
            raise ValueError("follow goes on for ever, forward: leave out upto and backward")
        stream = subscribe(self._database.engine, after=after, where=where, stop=stop)
        return stream if limit is None else islice(stream, limit)

    @property
    def tables(self) -> Mapping[str, Table]:
        """Every read model by name, as a SQLAlchemy Core table, for `query`."""
        return {name: projection.table for name, projection in PROJECTIONS.items()}

    def table(self, name: str) -> Query:
        """Return a query of a read model's rows, as far as they are projected.

        Raises:
            UnknownProjection: when there is no such table.
        """
        self._require_open()
        return self._over(name, _one(name).table)

    def query(self, statement: Select[Any]) -> Query:
        """Return a query of any Core SELECT over `tables`, with the rows of every visible tenant.

        Restrict it by `tenant_id` where the login sees several tenants.

        Raises:
            WrongQuery: when two columns have one name.
        """
        self._require_open()
        return Query(self.connect, "query", statement)

    def position(self, moment: Moment | None = None) -> Position:
        """Return the position of the log at a moment; None: the safe head.

        Raises:
            BeyondHead: for a position above the safe head, or a time in the future.
            WrongMoment: when a text is neither a time nor a position.
        """
        with self.connect() as connection:
            return position_of(connection, moment)

    def as_of(self, table: str, moment: Moment) -> Query:
        """Return a query of a read model's rows as they were, folded from the log.

        Args:
            table: its name.
            moment: a position of the log, a time, or text: "2h" is two hours ago, a day such as
                "2026-03-31" means its end.

        Raises:
            UnknownProjection, BeyondHead, WrongMoment
        """
        projection = _one(table)
        return self._over(table, as_of(projection, self.position(moment)))

    def diff(
        self, table: str, before: Moment, after: Moment | None = None, *, limit: int | None = 20
    ) -> Difference:
        """Compare a read model's rows at two moments.

        Args:
            table: its name.
            before: the one moment, as for `as_of`.
            after: the other one; None: the end of the log.
            limit: how many differing rows to return, the first by key; they are counted all.

        Raises:
            UnknownProjection, BeyondHead, WrongMoment
        """
        projection = _one(table)
        with self.connect() as connection:
            states = []
            for moment, name in ((before, "before"), (after, "after")):
                past = as_of(projection, position_of(connection, moment))
                mine = select(past).where(past.c.tenant_id == self.author.tenant_id)
                states.append(mine.subquery(name))
            key = ["tenant_id", *projection.key]
            return difference(connection, states[0], states[1], key, limit=limit)

    def explain(
        self, table: str, key: Entity | str | Sequence[str], *, at: Moment | None = None
    ) -> lineage.Lineage:
        """Return the events behind a row, and which of them gave each column its value.

        Args:
            table: the read model's name.
            key: the id of the row, or at least the first 4 digits of it; a sequence of texts where
                the key has several columns.
            at: a moment, as for `as_of`; None: what the table holds now.

        Raises:
            NoSuchRow: when no event concerns such a row.
            SeveralRows: when the key fits several rows.
            UnknownProjection, BeyondHead, WrongMoment
        """
        projection = _one(table)
        parts = _key_parts(key)
        with self.connect() as connection:
            if at is None:
                checkpoint = read_checkpoints(connection).get(projection.name)
                position = 0 if checkpoint is None else checkpoint.position
            else:
                position = position_of(connection, at)
            found = lineage.explain(
                connection,
                projection,
                lineage.find_key(connection, projection, self.author.tenant_id, parts),
                position,
            )
        if not found.steps:
            raise lineage.NoSuchRow(projection.name, parts, list(projection.key))
        return found

    # Read models

    def catch_up(self, *tables: str) -> int:
        """Fold everything up to the present safe head into these read models, or into all.

        Returns:
            How many events were folded, each counted once for every read model that reads it.

        Raises:
            RebuildNeeded: when a definition has changed; the others are brought up to date first.
            FoldFailed: when the server refuses to fold; likewise.
            UnknownProjection
        """
        return catch_up(self.engine, named(tables))

    def projecting(self, *tables: str, auto_rebuild: bool = False) -> BackgroundProjector:
        """Keep these read models, or all, up to date in a thread for the length of a `with`.

        Args:
            tables: their names.
            auto_rebuild: rebuild those whose definition has changed.
        """
        return BackgroundProjector(self.engine, named(tables), auto_rebuild=auto_rebuild)

    def wait_for(self, table: str, position: int, *, timeout: float = TIMEOUT) -> None:
        """Wait until a read model has folded everything up to a position, such as a record's.

        Folds nothing itself: something must be `projecting`.

        Args:
            table: its name.
            position: of the last event that must be in it.
            timeout: in s.

        Raises:
            ProjectionBehind: when it takes longer.
            RebuildNeeded: when the definition has changed, so that waiting would be in vain.
        """
        wait_for(self.engine, _one(table), position, timeout=timeout)

    def rebuild(self, *tables: str, dry_run: bool = False, keep: bool = False) -> list[Rebuilt]:
        """Fold these read models, or all, anew beside the live tables, compare, and swap them in.

        Args:
            tables: their names.
            dry_run: compare only, and drop the new tables.
            keep: the old tables, for `qforge rebuild --rollback`.

        Raises:
            RebuildsFailed: when several could not be rebuilt; a lone error as it is.
            UnknownProjection
        """
        return rebuild_all(self.engine, named(tables), dry_run=dry_run, keep=keep)

    def verify(self, *tables: str, limit: int = 20) -> list[Verification]:
        """Compare these read models, or all, with the log; nothing is locked or written.

        Args:
            tables: their names.
            limit: how many differing rows of each to return.

        Returns:
            For each, what was compared; `agrees` says whether the table is what the log says.

        Raises:
            FoldFailed: when the log holds events that cannot be folded.
            UnknownProjection
        """
        return [verify(self.engine, each, limit=limit) for each in named(tables)]

    # The installation

    def status(self, *, exact: bool = False) -> Status:
        """Return the state of server, log, read models and queue, as `qforge status` prints it.

        Args:
            exact: count the events of a long log instead of estimating, however long it takes.
        """
        return read_status(self.engine, self.author.tenant_id, exact=exact)

    def doctor(self, *, thorough: bool = False) -> list[Finding]:
        """Examine the database and return a finding per check, each problem with its remedy.

        Args:
            thorough: look at every stream instead of a sample, however long it takes.
        """
        return list(examine_database(self.engine, more=CHECKS, thorough=thorough))

    # What has methods of its own

    @property
    def datasets(self) -> "Datasets":
        """Training sets: export, reproduce, compare."""
        from quantum_forge.training_sets import Datasets  # pyarrow is worth its time only here

        self._require_open()
        return Datasets(self)

    @property
    def users(self) -> "Users":
        """Accounts of the tenant: register, log in, change; see `Users`."""
        from quantum_forge.eventstore.actions.users import Users
        from quantum_forge.eventstore.security.encryption import load_encryption

        try:
            encryption = load_encryption(self.settings)
        except EncryptionKeyMissing:
            encryption = None  # only webhooks need it
        return Users(self.engine, self.author, encryption=encryption)

    @property
    def keys(self) -> "ApiKeys":
        """API keys of the tenant's users: issue, use, revoke; see `ApiKeys`."""
        from quantum_forge.eventstore.actions.api_keys import ApiKeys

        return ApiKeys(self.engine, self.author)

    # How it is done

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ForgeClosed

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._database.engine.connect() as connection:
            yield connection

    def _using(self, connection: Connection) -> Self:
        """The same forge, whose reads and appends go over a connection that somebody else owns."""
        forge = copy.copy(self)
        forge._lent = connection
        return forge

    def _over(self, name: str, source: Any) -> Query:
        return Query._over(self.connect, name, source, self.author.tenant_id)

    def _read(
        self, where: Filter, after: int, upto: int | None, backward: bool, limit: int | None
    ) -> Iterator[RecordedEvent]:
        with self.connect() as connection:
            yield from read_all(
                connection, after=after, upto=upto, where=where, backward=backward, limit=limit
            )


def _opened(
    settings: Settings, follows: bool, on_migrated: Callable[[list[str]], object]
) -> Database:
    database = open_database(settings, follows=follows)
    try:
        if applied := migrate_embedded(database):
            on_migrated(applied)
    except BaseException:
        database.close()
        raise
    return database


def _identified(
    smiles: str, name: str | None, charge: int | None, multiplicity: int | None
) -> MoleculeCreated:
    try:
        from quantum_forge.runner.campaign.outcomes import created
        from quantum_forge.runner.molecules.identity import identify
        from quantum_forge.runner.molecules.records import Input
    except ModuleNotFoundError as error:
        raise EngineMissing from error
    given = Input(number=1, source=smiles, smiles=smiles, name=name)
    with _IDENTIFYING:
        event = created(identify(given, charge=charge, multiplicity=multiplicity))
    return msgspec.structs.replace(event, generation_method="manual")


def _id_of(entity: Entity) -> UUID:
    if isinstance(entity, UUID):
        return entity
    if isinstance(entity, Recorded):
        return entity.entity_id
    raise TypeError(f"an entity is its UUID, or what record() returned of it, not {entity!r}")


def _one(table: str) -> Projection:
    (projection,) = named([table])
    return projection


def _types(types: Kind | Iterable[Kind] | None) -> list[str] | None:
    if types is None:
        return None
    kinds: Iterable[Kind] = [types] if isinstance(types, str | type) else types
    return [kind if isinstance(kind, str) else kind.event_type for kind in kinds]


def _key_parts(key: Entity | str | Sequence[str]) -> list[str]:
    if isinstance(key, UUID | Recorded):
        return [str(_id_of(key))]
    return key.split(",") if isinstance(key, str) else [str(part) for part in key]
