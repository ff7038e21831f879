"""One campaign: its items, its errors; stop it, retry what failed, retract its results."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Text, cast, func, literal_column, select

from quantum_forge.eventstore.actions import retraction
from quantum_forge.eventstore.actions.retraction import Criteria, Extent
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.projections.queries.batches import item_statuses
from quantum_forge.projections.queries.calculations import (
    WITHOUT_RESULT,
    CalculationFilter,
    select_calculations,
)
from quantum_forge.runner.errors import EngineMissing
from quantum_forge.schema.domains.batches import (
    BatchCancelled,
    BatchStopRequested,
    batch_items,
    batch_jobs,
)
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.retractions import ResultsRetracted
from quantum_forge.schema.domains.users import Role
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.dashboard.pages.campaigns import LIVE, with_progress
from quantum_forge.web.dashboard.panels import Acting, Action, Asked, Done, Page, Panel
from quantum_forge.web.rest.errors import RestError

MOST_ITEMS = 50
"""Items without a result that are listed."""


class CampaignQuery(msgspec.Struct, frozen=True):
    """The batch, of the path."""

    id: UUID


class RetractQuery(msgspec.Struct, frozen=True):
    """The batch, of the path. with_reused: also what it reused, whichever batch computed it."""

    id: UUID
    with_reused: bool = False


class Items(msgspec.Struct, frozen=True):
    """How many items a batch has, by the present status of their calculations."""

    statuses: dict[str, int]
    total: int


def _batch(asked: Asked) -> Any:
    """The batch, and when somebody last asked its runner to stop.

    Raises:
        RestError: 404.
    """
    tenant_id, jobs = asked.tenant_id, batch_jobs.c
    log = event_logs.c
    asked_to_stop = (
        select(func.max(log.recorded_at))
        .where(
            log.tenant_id == tenant_id,
            log.entity_type == BatchStopRequested.entity_type,
            log.entity_id == asked.query.id,
            log.event_type.concat("") == BatchStopRequested.event_type,
        )
        .scalar_subquery()
    )
    batch = select(batch_jobs).where(jobs.tenant_id == tenant_id, jobs.id == asked.query.id)
    query = with_progress(batch).add_columns(
        asked_to_stop.label("stop_requested_at"), func.now().label("now")
    )
    found = asked.connection.execute(query).one_or_none()
    if found is None:
        raise RestError(404, "PGRST116", f"there is no batch {asked.query.id}")
    return found


def _items(asked: Asked) -> Items:
    statuses = item_statuses(asked.connection, asked.tenant_id, asked.query.id)
    return Items(statuses, sum(statuses.values()))


def _errors(asked: Asked) -> list[Any]:
    """The mix of errors: items without a result, by status and type of error."""
    c, items = calculations.c, batch_items.c
    query = (
        select(
            c.status,
            c.error_type,
            func.count().label("count"),
            func.max(c.completed_at).label("last"),
            func.min(cast(c.error_message, Text)).label("example"),
        )
        .join_from(
            batch_items,
            calculations,
            (c.tenant_id == items.tenant_id) & (c.id == items.calculation_id),
        )
        .where(
            items.tenant_id == asked.tenant_id,
            items.batch_id == asked.query.id,
            c.status.in_(sorted(WITHOUT_RESULT)),
        )
        .group_by(c.status, c.error_type)
        .order_by(literal_column("3").desc(), c.status, c.error_type)
    )
    return list(asked.connection.execute(query))


def _without_result(asked: Asked) -> list[Any]:
    where = CalculationFilter(batch_ids=[asked.query.id], statuses=sorted(WITHOUT_RESULT))
    query = select_calculations(asked.tenant_id, where, limit=MOST_ITEMS + 1)
    return list(asked.connection.execute(query))


def _extent(asked: Asked) -> Extent:
    return retraction.extent(asked.connection, asked.tenant_id, _criteria(asked.query))


def _criteria(query: RetractQuery) -> Criteria:
    return Criteria(batch_id=query.id, with_reused=query.with_reused)


def _retry(acting: Acting) -> Done:
    """Schedule a retry of each failed item now; a machine with an engine runs it."""
    try:
        from quantum_forge.runner.retries.at_once import schedule_batch
    except ImportError as error:
        raise EngineMissing(error) from error
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    done = schedule_batch(recorder, acting.query.id)
    said = [f"{counted(done.scheduled, 'retry', 'retries')} scheduled"]
    if done.waiting:
        said.append(f"{done.waiting} were scheduled before")
    if done.given_up:
        said.append(f"{done.given_up} failed too often, or cannot be repeated")
    waits = "; qforge retry runs them, on a machine with an engine" if done.scheduled else ""
    return Done(notice=f"{', '.join(said)}{waits}.")


def _stop(acting: Acting) -> Done:
    """Ask the runners of a batch to stop."""
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    reason = _reason(acting)
    recorder.for_action().record(BatchStopRequested(reason=reason), of=acting.query.id)
    return Done(notice="The runner stops within some seconds, and the batch is cancelled then.")


def _close(acting: Acting) -> Done:
    """Record that a batch was cancelled whose runner does not answer."""
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    with acting.server.reading(acting.caller, acting.request) as connection:
        statuses = item_statuses(
            connection, acting.server.tenant_of(acting.caller), acting.query.id
        )
    event = BatchCancelled(
        reason=_reason(acting),
        successful_count=statuses.get("completed", 0),
        failed_count=sum(statuses.get(each, 0) for each in WITHOUT_RESULT),
    )
    recorder.for_action().record(event, of=acting.query.id)
    return Done(notice="The batch is cancelled. Running the same command again goes on with it.")


def _retract(acting: Acting) -> Done:
    """Retract the results that the page has shown."""
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    reason = _reason(acting)
    decision = ResultsRetracted(reason=reason, calculation_count=0)
    recorder.permissions.require([recorder.new(uuid7(), decision)])
    done = retraction.retract(
        recorder.engine, recorder.author, _criteria(acting.query), reason, recorder=recorder
    )
    back = f"/campaigns/{acting.query.id}"
    if done is None:
        return Done(location=back, notice="Nothing to retract: the batch has no valid result.")
    results = counted(done.calculation_count, "result")
    return Done(
        location=back,
        notice=f"Retracted {results}; to restore: qforge retract --undo {done.retraction_id}",
    )


def _reason(acting: Acting) -> str:
    reason = acting.form.get("reason", "").strip()
    if not reason:
        raise RestError(400, "22023", "give a reason: everybody who finds this later reads it")
    return reason


def _panel(
    name: str, title: str, read: Callable[[Asked], Any], *, reads_log: bool = False
) -> Panel:
    template = f"campaigns/{name}.html"
    return Panel(
        name=name,
        title=title,
        read=read,
        template=template,
        live=(*LIVE, "calculation_completed", "calculation_failed"),
        reads_log=reads_log,
    )


CAMPAIGN = Page(
    path="/campaigns/{id}",
    title="Campaign",
    query=CampaignQuery,
    in_navigation=False,
    template="campaigns/one.html",
    panels=(
        _panel("batch", "Batch", _batch, reads_log=True),
        _panel("items", "Items by status", _items),
        _panel("errors", "Errors", _errors),
        _panel("without-result", "Items without a result", _without_result),
    ),
    actions={
        "retry": Action(act=_retry, needs=Role.RESEARCHER),
        "stop": Action(act=_stop, needs=Role.RESEARCHER),
        "close": Action(act=_close, needs=Role.RESEARCHER),
    },
)

RETRACT = Page(
    path="/campaigns/{id}/retract",
    title="Retract results",
    query=RetractQuery,
    needs=Role.RESEARCHER,
    in_navigation=False,
    template="campaigns/retract.html",
    panels=(
        Panel(
            name="extent",
            title="What would be retracted",
            read=_extent,
            template="campaigns/extent.html",
            reads_log=True,
            several=True,
        ),
    ),
    actions={"retract": Action(act=_retract, needs=Role.RESEARCHER)},
)
