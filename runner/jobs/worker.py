"""Work of an import's processes: read a chunk of folders, append its events."""

import socket
from collections.abc import Sequence
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventIdReused, QuantumForgeError, VersionConflict
from quantum_forge.eventstore.database.address import libpq_url
from quantum_forge.eventstore.database.availability.outage import AWAY, REFUSALS, reason_of
from quantum_forge.eventstore.database.engine import make_engine
from quantum_forge.eventstore.database.tenancy import act_always_for
from quantum_forge.eventstore.log.read import existing_streams, last_events
from quantum_forge.eventstore.log.wakeups import announce_appends
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.jobs.history import History
from quantum_forge.runner.jobs.identities import Identities
from quantum_forge.runner.jobs.outcome import FAILED, IMPORTED, PRESENT, SKIPPED, FolderOutcome
from quantum_forge.runner.jobs.reading.contents import BrokenJob, FolderContents, SkippedJob
from quantum_forge.runner.jobs.reading.folders import Folder
from quantum_forge.runner.jobs.reading.reader import read_job
from quantum_forge.schema.domains.molecules import MoleculeDeleted

CONFLICTS = 5
"""Number of times that a chunk is looked up again because others recorded the same events."""

REMEMBERED = 50_000
"""Molecules that are known to be in the log."""


class Target(msgspec.Struct, frozen=True):
    """Where the events go, and on whose behalf; `url` with its password, which repr() hides."""

    url: str
    tenant_id: UUID
    user_id: UUID | None
    dry_run: bool = False
    keep_logs: bool = False

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["url"] = libpq_url(make_url(self.url), hide_password=True)
        return f"Target({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Folders to import, in the form in which workers take tasks."""

    id: UUID
    target: Target
    folders: tuple[Folder, ...]
    timeout_s: float | None = None
    memory_bytes: int | None = None


class ChunkDone(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of each folder of a chunk; `away` is why the database accepted none of them."""

    task_id: UUID
    outcomes: tuple[FolderOutcome, ...] = ()
    away: str | None = None
    stderr_log: str = ""
    pid: int = 0
    wall_time_seconds: float = 0.0


def import_chunk(chunk: Chunk) -> ChunkDone:
    """Read folders and append each job's events, all or none; several jobs share a round trip."""
    importer = _importer(chunk.target)
    try:
        return ChunkDone(task_id=chunk.id, outcomes=tuple(importer.run(chunk.folders)))
    except AWAY as error:
        return ChunkDone(task_id=chunk.id, away=reason_of(error))


@cache
def _importer(target: Target) -> "Importer":
    engine = make_engine(make_url(target.url))
    act_always_for(engine, target.tenant_id)
    announce_appends(engine)
    return Importer(engine, target)


class Importer:
    """Imports folders into one log on behalf of one tenant; remembers molecules meanwhile."""

    def __init__(self, engine: Engine, target: Target) -> None:
        self._engine = engine
        self._target = target
        self._identities = Identities()
        self._molecules: set[UUID] = set()
        author = Author(tenant_id=target.tenant_id, user_id=target.user_id)
        self._recorder = Recorder(engine, author)
        self._metadata = {"service": "import", "host": socket.gethostname()}

    def run(self, folders: Sequence[Folder]) -> list[FolderOutcome]:
        """Import folders, and return what became of each."""
        outcomes: list[FolderOutcome] = []
        read: list[tuple[Folder, History]] = []
        for folder in folders:
            found = self._read(folder)
            if isinstance(found, FolderOutcome):
                outcomes.append(found)
            else:
                read.append((folder, found))
        return outcomes + self._stored(read)

    def _read(self, folder: Folder) -> History | FolderOutcome:
        """The events of a folder, or why there are none."""
        path = readable(folder.path)
        try:
            job = read_job(FolderContents(folder))
            try:
                molecule = self._identities.of(job)
            except InputError as error:
                # A result that counts needs a molecule; one that does not is told without.
                if job.failure is None and job.refused is None:
                    raise BrokenJob(_blamed(job.source.smiles), error.reason) from error
                molecule = None
            return History(
                job,
                molecule,
                tenant_id=self._target.tenant_id,
                user_id=self._target.user_id,
                metadata=self._metadata,
                keep_logs=self._target.keep_logs,
            )
        except BrokenJob as broken:
            return FolderOutcome(path, FAILED, file=readable(broken.file), reason=broken.reason)
        except SkippedJob as skipped:
            return FolderOutcome(path, SKIPPED, reason=skipped.reason)
        except AWAY:
            raise
        except Exception as error:  # whatever a file can do to a parser, the others go on
            reason = f"{type(error).__name__}: {error}"
            return FolderOutcome(path, FAILED, reason=reason)

    def _stored(self, read: Sequence[tuple[Folder, History]]) -> list[FolderOutcome]:
        """Append what is new, together; what the log refuses, one by one."""
        if not read:
            return []
        try:
            return self._appended(read)
        except REFUSALS as error:
            if len(read) == 1:
                folder, history = read[0]
                return [
                    FolderOutcome(
                        readable(folder.path),
                        FAILED,
                        reason=str(error),
                        calculation_id=history.calculation_id,
                    )
                ]
        half = len(read) // 2
        return self._stored(read[:half]) + self._stored(read[half:])

    def _appended(self, read: Sequence[tuple[Folder, History]]) -> list[FolderOutcome]:
        last: QuantumForgeError | None = None
        for _ in range(CONFLICTS):
            try:
                with self._engine.connect() as connection:
                    return self._append(connection, read)
            except (VersionConflict, EventIdReused) as conflict:
                # Another process recorded the same molecule, or a copy of the same job.
                last = conflict
        assert last is not None
        raise last

    def _append(
        self, connection: Connection, read: Sequence[tuple[Folder, History]]
    ) -> list[FolderOutcome]:
        there = existing_streams(
            connection,
            self._target.tenant_id,
            "calculation",
            [history.calculation_id for _, history in read],
        )
        new: list[History] = []
        outcomes: list[FolderOutcome] = []
        for folder, history in read:
            is_new = history.calculation_id not in there
            if is_new:
                there.add(history.calculation_id)
                new.append(history)
            outcomes.append(
                FolderOutcome(
                    readable(folder.path),
                    IMPORTED if is_new else PRESENT,
                    status=history.status if is_new else None,
                    reason=history.reason if is_new else None,
                    calculation_id=history.calculation_id,
                )
            )
        if self._target.dry_run or not new:
            return outcomes
        events = self._creations(connection, new)
        created = {event.entity_id for event in events}
        for history in new:
            events += history.calculation()
        connection.rollback()  # what was looked up holds nothing
        placed = self._recorder.record_all(*events) or []
        if len(self._molecules) > REMEMBERED:
            self._molecules.clear()
        self._molecules |= created
        # Of a copy that another process imported since it was looked for, nothing was appended.
        appended = {
            event.entity_id for event, at in zip(events, placed, strict=True) if at.appended
        }
        return [
            each
            if each.outcome == PRESENT or each.calculation_id in appended
            else FolderOutcome(each.path, PRESENT, calculation_id=each.calculation_id)
            for each in outcomes
        ]

    def _creations(self, connection: Connection, new: Sequence[History]) -> list[NewEvent]:
        """The molecules that are not in the log, or not any more."""
        wanted = {
            history.molecule_id: history
            for history in reversed(new)
            if history.molecule_id is not None and history.molecule_id not in self._molecules
        }
        if not wanted:
            return []
        there = existing_streams(
            connection, self._target.tenant_id, "molecule", [each for each in wanted if each]
        )
        # Of those the last event tells whether they were deleted; a new log has none.
        tenant_id = self._target.tenant_id
        known = last_events(connection, tenant_id, "molecule", list(there)) if there else {}
        creations = []
        for its_id, history in wanted.items():
            last = known.get(its_id) if its_id is not None else None
            if last is None:
                creations.append(history.creation(0))
            elif last.event_type == MoleculeDeleted.event_type:
                creations.append(history.creation(last.version))
            else:
                self._molecules.add(last.entity_id)
        return creations


def readable(path: str) -> str:
    """A path as text that every database and terminal takes, whatever bytes it has."""
    return path.encode("utf-8", "replace").decode("utf-8")


def _blamed(smiles: str | None) -> str:
    return "metadata.json" if smiles is not None else "*.xyz"
