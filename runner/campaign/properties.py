"""Computes the descriptors and fingerprints that molecules lack, in parallel, as events."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import VersionConflict
from quantum_forge.eventstore.log.read import read_streams
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.campaign.descriptors import TOOLKIT, Described, toolkit_version
from quantum_forge.runner.engines.tasks import Outcome, Task
from quantum_forge.runner.molecules.fingerprints import fingerprint_version
from quantum_forge.runner.workers.pool import WorkerPool
from quantum_forge.runner.workers.stopping import ATTENTION_SECONDS, StopRequest
from quantum_forge.schema.domains.molecules import (
    MoleculeDeleted,
    MoleculePropertiesComputed,
    molecule_fingerprints,
    molecule_properties_computed,
    molecules,
)

PAGE = 1_000
"""Molecules that are looked up at once."""

APPEND = 500
"""Events of one append: what a kill can cost is less than a second of work."""

TIMEOUT_SECONDS = 60.0
"""Seconds for one molecule, which takes a millisecond: a worker that hangs is replaced."""

MEMORY_BYTES = 2 * 2**30
"""Bytes of memory for one molecule; the largest ones need less than 200 MB."""

Conditions = Sequence[ColumnElement[bool]]


class Undescribed(msgspec.Struct, frozen=True):
    """A molecule whose descriptors could not be computed, and why; it is tried again next time."""

    molecule_id: UUID
    smiles: str
    reason: str


class Computed(msgspec.Struct, kw_only=True):
    """What a run did.

    elsewhere: computed here, too, but another run was first, or the molecule is deleted now.
    signal: that ended it early, if one did.
    """

    computed: int = 0
    elsewhere: int = 0
    problems: list[Undescribed] = msgspec.field(default_factory=list)
    signal: int | None = None


def count_without_descriptors(
    connection: Connection, tenant_id: UUID, version: str, where: Conditions = ()
) -> int:
    """Count the molecules with a SMILES that have no descriptors by this version of the toolkit."""
    query = select(func.count()).select_from(_JOINED)
    return connection.execute(query.where(*_lacking(tenant_id, version), *where)).scalar_one()


def count_without_smiles(connection: Connection, tenant_id: UUID, where: Conditions = ()) -> int:
    """Count the molecules without a SMILES, which have no descriptors."""
    query = select(func.count()).where(
        molecules.c.tenant_id == tenant_id, molecules.c.smiles.is_(None), *where
    )
    return connection.execute(query).scalar_one()


def compute_properties(
    recorder: Recorder,
    *,
    jobs: int,
    where: Conditions = (),
    limit: int | None = None,
    on_molecule: Callable[[bool], None] = lambda _: None,
    function: str = "quantum_forge.runner.campaign.descriptors:describe",
) -> Computed:
    """Compute the descriptors and fingerprints of every molecule that lacks any of them.

    Those of another version of the toolkit do not count. Molecules without a SMILES are left out:
    everything follows from it.

    The read models say which: bring `molecules`, `molecule_properties_computed` and
    `molecule_fingerprints` up to date before, and a run that was interrupted or killed is gone on
    with. The log decides: of two runs at once, one records a molecule, and the other finds that it
    is done.

    Args:
        recorder: appends on behalf of the tenant and the user.
        jobs: how many worker processes.
        where: conditions on the table `molecules`.
        limit: at most so many molecules.
        on_molecule: called for each one, with whether it has descriptors now.
        function: what the workers run, as `module:name`.
    """
    done = Computed()
    with (
        StopRequest() as stop,
        WorkerPool(jobs, function=function, recycle_after=1_000_000) as pool,
    ):
        waiting: dict[UUID, _Lacking] = {}
        events: list[NewEvent] = []
        source = _undescribed(recorder, where, limit)
        exhausted = False
        while not stop and not (exhausted and not waiting):
            # Enough for every worker to find its next task while the last one is recorded.
            while not exhausted and len(waiting) < 4 * jobs:
                found = next(source, None)
                if found is None:
                    exhausted = True
                    break
                waiting[found.id] = found
                pool.submit(
                    Task(
                        id=found.id,
                        smiles=found.smiles,
                        timeout_s=TIMEOUT_SECONDS,
                        memory_bytes=MEMORY_BYTES,
                    )
                )
            for outcome in cast(
                list[Described | Outcome], pool.wait(timeout=ATTENTION_SECONDS) if waiting else []
            ):
                its = waiting.pop(outcome.task_id)
                if isinstance(outcome, Described):
                    described = _event(outcome)
                    events.append(recorder.new(its.id, described, expected_version=its.version))
                else:
                    done.problems.append(Undescribed(its.id, its.smiles, _reason(outcome)))
                on_molecule(isinstance(outcome, Described))
            if len(events) >= APPEND:
                _record(recorder, events, done)
                events = []
        _record(recorder, events, done)
        done.signal = stop.signal
    return done


_P = molecule_properties_computed.c
_F = molecule_fingerprints.c
_JOINED = molecules.outerjoin(
    molecule_properties_computed,
    and_(_P.tenant_id == molecules.c.tenant_id, _P.molecule_id == molecules.c.id),
).outerjoin(
    molecule_fingerprints,
    and_(_F.tenant_id == molecules.c.tenant_id, _F.molecule_id == molecules.c.id),
)


def _lacking(tenant_id: UUID, version: str) -> list[ColumnElement[bool]]:
    return [
        molecules.c.tenant_id == tenant_id,
        molecules.c.smiles.is_not(None),
        or_(
            _P.molecule_id.is_(None),
            _P.toolkit != TOOLKIT,
            _P.toolkit_version != version,
            _F.fingerprint_version.is_distinct_from(fingerprint_version()),
        ),
    ]


class _Lacking(msgspec.Struct, frozen=True):
    """A molecule without descriptors, when its stream was at this version."""

    id: UUID
    smiles: str
    version: int


def _record(recorder: Recorder, events: list[NewEvent], done: Computed) -> None:
    """Append what nobody else has appended meanwhile."""
    count = len(events)
    while events:
        try:
            recorder.record_all(*events)
            break
        except VersionConflict:
            with recorder.engine.connect() as connection:
                ids = [event.entity_id for event in events]
                versions = _lacking_in_log(connection, recorder.tenant_id, ids)
            events = [
                msgspec.structs.replace(event, expected_version=versions[event.entity_id])
                for event in events
                if event.entity_id in versions
            ]
    done.computed += len(events)
    done.elsewhere += count - len(events)


def _lacking_in_log(
    connection: Connection, tenant_id: UUID, molecule_ids: Sequence[UUID]
) -> dict[UUID, int]:
    """The versions of those molecules that are there and that the log has no descriptors of."""
    wanted = (TOOLKIT, toolkit_version(), fingerprint_version())
    lacking = {}
    streams = read_streams(connection, tenant_id, "molecule", molecule_ids)
    for molecule_id, stream in streams.items():
        found: tuple[str, str, str | None] | None = None
        for event in stream:
            if event.event_type == MoleculePropertiesComputed.event_type:
                before = None if found is None else found[2]
                found = (
                    event.data["toolkit"],
                    event.data["toolkit_version"],
                    event.data.get("fingerprint_version", before),
                )
            elif event.event_type == MoleculeDeleted.event_type:
                found = None
        if found != wanted and stream[-1].event_type != MoleculeDeleted.event_type:
            lacking[molecule_id] = stream[-1].version
    return lacking


def _undescribed(recorder: Recorder, where: Conditions, limit: int | None) -> Iterator[_Lacking]:
    """Those in order of id, page by page: no transaction stays open while they are used.

    The order is what makes each molecule come once, though the table changes meanwhile.
    """
    last: UUID | None = None
    given = 0
    while limit is None or given < limit:
        query = (
            select(molecules.c.id, molecules.c.smiles)
            .select_from(_JOINED)
            .where(*_lacking(recorder.tenant_id, toolkit_version()), *where)
            .order_by(molecules.c.id)
            .limit(PAGE if limit is None else min(PAGE, limit - given))
        )
        if last is not None:
            query = query.where(molecules.c.id > last)
        with recorder.engine.connect() as connection:
            page = {row.id: row.smiles for row in connection.execute(query)}
            # The tables may not have seen yet what another run has recorded.
            versions = _lacking_in_log(connection, recorder.tenant_id, list(page))
        if not page:
            return
        for last, smiles in page.items():
            if last in versions:
                given += 1
                yield _Lacking(last, smiles, versions[last])


def _event(outcome: Described) -> MoleculePropertiesComputed:
    return MoleculePropertiesComputed(
        **msgspec.structs.asdict(outcome.descriptions),
        **msgspec.structs.asdict(outcome.fingerprints),
        fingerprint_version=fingerprint_version(),
        toolkit=TOOLKIT,
        toolkit_version=toolkit_version(),
        computed_at=datetime.now(UTC),
    )


def _reason(outcome: Outcome) -> str:
    failure = getattr(outcome, "failure", None)
    return failure.message if failure is not None else "no descriptors"
