"""Computes the descriptors that molecules lack, in parallel, and records them as events."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from eventstore.envelope import NewEvent
from eventstore.recorder import Recorder
from runner.descriptors import TOOLKIT, Described, toolkit_version
from runner.stopping import StopRequest
from runner.tasks import Outcome, Task
from runner.workers import WorkerPool
from schema.events.chemistry import MoleculePropertiesComputed
from schema.tables.chemistry import molecule_properties_computed, molecules

PAGE = 1_000
"""Molecules that are looked up at once."""

APPEND = 500
"""Events of one append: what a kill can cost is less than a second of work."""

ATTENTION_SECONDS = 0.2
"""How long a request to stop may go unnoticed."""

TIMEOUT_SECONDS = 60.0
"""For one molecule, which takes a millisecond: a worker that hangs is replaced."""

Conditions = Sequence[ColumnElement[bool]]


class Undescribed(msgspec.Struct, frozen=True):
    """A molecule whose descriptors could not be computed, and why; it is tried again next time."""

    molecule_id: UUID
    smiles: str
    reason: str


class Computed(msgspec.Struct, kw_only=True):
    """What a run did; `signal`: that ended it early, if one did."""

    computed: int = 0
    problems: list[Undescribed] = msgspec.field(default_factory=list)
    signal: int | None = None


def count_undescribed(
    connection: Connection, tenant_id: UUID, version: str, where: Conditions = ()
) -> int:
    """How many molecules have no descriptors of this version of the toolkit."""
    query = select(func.count()).select_from(_JOINED)
    return connection.execute(query.where(*_lacking(tenant_id, version), *where)).scalar_one()


def compute_properties(
    recorder: Recorder,
    *,
    jobs: int,
    where: Conditions = (),
    limit: int | None = None,
    on_molecule: Callable[[bool], None] = lambda _: None,
    function: str = "runner.descriptors:describe",
) -> Computed:
    """Compute the descriptors of every molecule that has none of the installed toolkit's version.

    The read models say which: bring `molecules` and `molecule_properties_computed` up to date
    before, and a run that was interrupted or killed is gone on with. Two runs at once compute some
    molecules twice, with the same result.

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
        waiting: dict[UUID, str] = {}
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
                molecule_id, smiles = found
                waiting[molecule_id] = smiles
                pool.submit(Task(id=molecule_id, smiles=smiles, timeout_s=TIMEOUT_SECONDS))
            for outcome in cast(
                list[Described | Outcome], pool.wait(timeout=ATTENTION_SECONDS) if waiting else []
            ):
                smiles = waiting.pop(outcome.task_id)
                if isinstance(outcome, Described):
                    events.append(recorder.new(outcome.task_id, _event(outcome)))
                    done.computed += 1
                else:
                    done.problems.append(Undescribed(outcome.task_id, smiles, _reason(outcome)))
                on_molecule(isinstance(outcome, Described))
            if len(events) >= APPEND:
                recorder.record(*events)
                events = []
        recorder.record(*events)
        done.signal = stop.signal
    return done


_P = molecule_properties_computed.c
_JOINED = molecules.outerjoin(
    molecule_properties_computed,
    and_(_P.tenant_id == molecules.c.tenant_id, _P.molecule_id == molecules.c.id),
)


def _lacking(tenant_id: UUID, version: str) -> list[ColumnElement[bool]]:
    return [
        molecules.c.tenant_id == tenant_id,
        or_(_P.molecule_id.is_(None), _P.toolkit != TOOLKIT, _P.toolkit_version != version),
    ]


def _undescribed(
    recorder: Recorder, where: Conditions, limit: int | None
) -> Iterator[tuple[UUID, str]]:
    """Ids and SMILES in order of id, page by page: no transaction stays open while they are used.

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
            page = _page(connection, query)
        if not page:
            return
        yield from page
        last = page[-1][0]
        given += len(page)


def _page(connection: Connection, query: Select[Any]) -> list[tuple[UUID, str]]:
    return [(row.id, row.smiles) for row in connection.execute(query)]


def _event(outcome: Described) -> MoleculePropertiesComputed:
    return MoleculePropertiesComputed(
        **msgspec.structs.asdict(outcome.descriptions),
        toolkit=TOOLKIT,
        toolkit_version=toolkit_version(),
        computed_at=datetime.now(UTC),
    )


def _reason(outcome: Outcome) -> str:
    failure = getattr(outcome, "failure", None)
    return failure.message if failure is not None else "no descriptors"
