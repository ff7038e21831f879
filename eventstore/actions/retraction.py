"""Retracting results: one decision, and the invalidation of every result that it covers, at once.

What is covered is read from the log itself. Decision and invalidations are one atomic append, so
nobody ever sees a part of it. What completes after the decision is not covered, whatever its
program or host: stop the runners first, or retract again.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)

from quantum_forge.eventstore.base.envelope import NewEvent, Position
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.person import Permissions
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.eventstore.recording.rules import append_checked
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.domains.batches import BatchItemReused, batch_items, batch_jobs
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationInvalidated,
    CalculationRestored,
    CalculationStarted,
    calculations,
)
from quantum_forge.schema.domains.retractions import ResultsRetracted
from quantum_forge.schema.tables import event_logs

EXAMPLES = 10

DECIDING = frozenset(
    name
    for name, rule in LIFECYCLES[CalculationCompleted.entity_type].rules.items()
    if rule.then is not None
)
"""Event types that change the state of a calculation."""


class NothingChosen(QuantumForgeError):
    """A retraction without a criterion would cover every result."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__(
            "select results by calculation, molecule, program version, host, method, batch or "
            "time; all results at once cannot be retracted"
        )


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """Which results to retract; all that are given must hold.

    program_version: of the program that computed it. host: that recorded it. since, until: when it
    completed, the first included and the second not. batch_id: that this batch computed itself;
    with_reused: or that it reused, whichever batch computed them. calculation_id: of this
    calculation. molecule_id: of this molecule.
    """

    program_version: str | None = None
    host: str | None = None
    method: str | None = None
    batch_id: UUID | None = None
    with_reused: bool = False
    since: datetime | None = None
    until: datetime | None = None
    calculation_id: UUID | None = None
    molecule_id: UUID | None = None


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What a retraction covers: how many results, of how many molecules and batches, from when.

    reused_count: results that the batch asked for only reused, which are not covered.
    reused_by: other batches that reuse results that are covered, as far as they are projected, by
    name and id, and how many of them.
    program_versions, hosts: how many of each; a result whose host nobody recorded is under "".
    examples: ids of the first calculations.
    """

    calculation_count: int
    molecule_count: int
    batch_count: int
    first_completed_at: datetime | None
    last_completed_at: datetime | None
    program_versions: dict[str, int]
    hosts: dict[str, int]
    examples: list[UUID]
    reused_count: int
    reused_by: dict[str, int]


class Retraction(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it was recorded; position: of its event. The others: see `Extent`."""

    retraction_id: UUID
    calculation_count: int
    position: Position
    reused_count: int
    reused_by: dict[str, int]


def select_covered(tenant_id: UUID, criteria: Criteria) -> Select[Any]:
    """The completions that are the last word on their calculation and that the criteria hold for.

    A calculation that runs anew is not among them: its next result is another one. A retraction
    that was reversed makes no difference.

    Raises:
        NothingChosen: without any criterion.
    """
    if criteria in (Criteria(), Criteria(with_reused=True)):
        raise NothingChosen
    completed = event_logs.alias("completed")
    later = event_logs.alias("later")
    reversal = event_logs.alias("reversal")
    is_reversed = (
        select(reversal.c.id)
        .where(
            same_stream(reversal, later),
            reversal.c.version > later.c.version,
            reversal.c.event_type.concat("") == CalculationRestored.event_type,
            reversal.c.data["retraction_id"] == later.c.data["retraction_id"],
        )
        .exists()
    )
    overtaken = (
        select(later.c.id)
        .where(
            same_stream(later, completed),
            later.c.version > completed.c.version,
            # As an expression, so that no plan reads all events of these types for each stream.
            later.c.event_type.concat("").in_(DECIDING - {CalculationRestored.event_type}),
            ~is_reversed,
        )
        .exists()
    )
    return (
        select(
            completed.c.entity_id,
            completed.c.data["molecule_id"].astext.label("molecule_id"),
            completed.c.data["batch_id"].astext.label("batch_id"),
            completed.c.data["program_version"].astext.label("program_version"),
            func.coalesce(completed.c.metadata["host"].astext, "").label("host"),
            completed.c.occurred_at,
        )
        .where(
            completed.c.tenant_id == tenant_id,
            completed.c.event_type == CalculationCompleted.event_type,
            *_conditions(completed, tenant_id, criteria),
            ~overtaken,
        )
        .order_by(completed.c.id)
    )


def same_stream(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Whether an event of the log is of the same stream as another."""
    return and_(
        *(one.c[name] == other.c[name] for name in ("entity_id", "entity_type", "tenant_id"))
    )


def extent(connection: Connection, tenant_id: UUID, criteria: Criteria) -> Extent:
    """What a retraction would cover now; nothing is written.

    Raises:
        NothingChosen: without any criterion.
    """
    covered = connection.execute(select_covered(tenant_id, criteria)).all()
    versions: dict[str, int] = {}
    hosts: dict[str, int] = {}
    for row in covered:
        versions[row.program_version] = versions.get(row.program_version, 0) + 1
        hosts[row.host] = hosts.get(row.host, 0) + 1
    times = [row.occurred_at for row in covered]
    return Extent(
        calculation_count=len(covered),
        molecule_count=len({row.molecule_id for row in covered if row.molecule_id}),
        batch_count=len({row.batch_id for row in covered if row.batch_id}),
        first_completed_at=min(times, default=None),
        last_completed_at=max(times, default=None),
        program_versions=versions,
        hosts=hosts,
        examples=[row.entity_id for row in covered[:EXAMPLES]],
        reused_count=_reused_count(connection, tenant_id, criteria),
        reused_by=_reused_by(connection, tenant_id, criteria, [row.entity_id for row in covered]),
    )


def retract(
    engine: Engine,
    author: Author,
    criteria: Criteria,
    reason: str,
    *,
    recorder: Recorder | None = None,
) -> Retraction | None:
    """Retract every result that the criteria hold for now, all or none; commits.

    Each calculation gets its own event, which names the decision and has it as its cause. They all
    are invalidated by the time this returns, in the log; the read models follow.

    Args:
        engine: of the database.
        author: who decides.
        criteria: which results.
        reason: for everybody who finds a result invalidated.
        recorder: of the author, where the request may be repeated.

    Returns:
        The decision; None when nothing is left to retract, and nothing was recorded.

    Raises:
        NothingChosen: without any criterion.
        VersionConflict: when what is covered changed each of the times that it was tried.
    """
    retraction_id = uuid7() if recorder is None else recorder.new_id()
    count = reused_count = 0
    reused_by: dict[str, int] = {}

    def decide(connection: Connection) -> list[NewEvent]:
        nonlocal count, reused_count, reused_by
        covered = connection.execute(select_covered(author.tenant_id, criteria)).all()
        count = len(covered)
        reused_count = _reused_count(connection, author.tenant_id, criteria)
        reused_by = _reused_by(
            connection, author.tenant_id, criteria, [row.entity_id for row in covered]
        )
        if not covered:
            return []
        decision = author.new(
            retraction_id,
            ResultsRetracted(
                reason=reason, calculation_count=count, **msgspec.structs.asdict(criteria)
            ),
        )
        consequence = author.because_of(decision.event_id)
        return [
            decision,
            *(
                consequence.new(
                    row.entity_id,
                    CalculationInvalidated(
                        molecule_id=row.molecule_id and UUID(row.molecule_id),
                        batch_id=row.batch_id and UUID(row.batch_id),
                        reason=f"retracted: {reason}",
                        was_completed=True,
                        retraction_id=retraction_id,
                    ),
                )
                for row in covered
            ),
        ]

    if recorder is None:
        placed = append_checked(engine, Permissions(engine).permitted(decide))
    else:
        placed = recorder.decide(decide)
    if not placed:
        return None
    return Retraction(
        retraction_id=retraction_id,
        calculation_count=count,
        position=placed[0].position,
        reused_count=reused_count,
        reused_by=reused_by,
    )


def _reused(tenant_id: UUID, batch_id: UUID) -> Select[Any]:
    """The ids of the calculations that a batch reused."""
    reused = event_logs.alias("reused")
    return select(cast(reused.c.data["calculation_id"].astext, Uuid)).where(
        reused.c.tenant_id == tenant_id,
        reused.c.entity_type == BatchItemReused.entity_type,
        reused.c.entity_id == batch_id,
        reused.c.event_type.concat("") == BatchItemReused.event_type,
    )


def _reused_count(connection: Connection, tenant_id: UUID, criteria: Criteria) -> int:
    """Results that would be covered, had the batch not merely reused them."""
    if criteria.batch_id is None or criteria.with_reused:
        return 0
    every = select_covered(tenant_id, msgspec.structs.replace(criteria, with_reused=True))
    found = every.order_by(None).subquery()
    computed = found.c.batch_id == str(criteria.batch_id)
    count: int = connection.execute(
        select(func.count()).where(func.coalesce(computed, false()).is_(False))
    ).scalar_one()
    return count


def _reused_by(
    connection: Connection, tenant_id: UUID, criteria: Criteria, covered: list[UUID]
) -> dict[str, int]:
    """The other batches that have these calculations as items without having computed them."""
    ids = select(func.unnest(literal(covered, ARRAY(Uuid)))).scalar_subquery()
    items, jobs = batch_items.c, batch_jobs.c
    computed = calculations.alias("computed")
    query = (
        select(items.batch_id, jobs.name, func.count())
        .select_from(
            batch_items.join(
                computed,
                and_(
                    computed.c.tenant_id == items.tenant_id,
                    computed.c.id == items.calculation_id,
                    computed.c.batch_id.is_distinct_from(items.batch_id),
                ),
            ).outerjoin(
                batch_jobs, and_(jobs.tenant_id == items.tenant_id, jobs.id == items.batch_id)
            )
        )
        .where(
            items.tenant_id == tenant_id,
            items.calculation_id.in_(ids),
            items.batch_id.is_distinct_from(criteria.batch_id),
        )
        .group_by(items.batch_id, jobs.name)
        .order_by(jobs.name, items.batch_id)
    )
    return {
        f"{name or 'batch'} {str(its_id)[:8]}": count
        for its_id, name, count in connection.execute(query)
    }


def _conditions(completed: Any, tenant_id: UUID, criteria: Criteria) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    # The small columns first: a payload with atoms is stored apart, and costs most to look into.
    if criteria.calculation_id is not None:
        found.append(completed.c.entity_id == criteria.calculation_id)
    if criteria.molecule_id is not None:
        found.append(completed.c.data["molecule_id"].astext == str(criteria.molecule_id))
    if criteria.since is not None:
        found.append(completed.c.occurred_at >= criteria.since)
    if criteria.until is not None:
        found.append(completed.c.occurred_at < criteria.until)
    if criteria.host is not None:
        found.append(completed.c.metadata["host"].astext == criteria.host)
    if criteria.program_version is not None:
        found.append(completed.c.data["program_version"].astext == criteria.program_version)
    if criteria.batch_id is not None:
        computed = completed.c.data["batch_id"].astext == str(criteria.batch_id)
        if criteria.with_reused:
            reused = _reused(tenant_id, criteria.batch_id)
            computed = or_(computed, completed.c.entity_id.in_(reused))
        found.append(computed)
    if criteria.method is not None:
        started = event_logs.alias("started")
        method = (
            select(started.c.data["method"].astext)
            .where(
                same_stream(started, completed),
                started.c.event_type.concat("") == CalculationStarted.event_type,
                started.c.version < completed.c.version,
            )
            .order_by(started.c.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        found.append(func.coalesce(method, "", type_=Text()) == criteria.method)
    return found
