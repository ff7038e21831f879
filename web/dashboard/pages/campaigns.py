"""Campaigns: batches with their progress, rate and mix of errors."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from sqlalchemy import Select, case, func, select, true

from quantum_forge.projections.queries.batches import select_batches
from quantum_forge.schema.domains.batches import LIFECYCLE
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.users import users
from quantum_forge.web.dashboard.panels import Asked, Page, Panel
from quantum_forge.web.rest.errors import RestError

PAGE = 50

RATE_OVER = timedelta(minutes=10)
"""For which the results of a running batch are counted, to say when it will be done."""

LIVE = (
    "batch_created",
    "batch_started",
    "batch_resumed",
    "batch_items_added",
    "batch_progressed",
    "batch_completed",
    "batch_failed",
    "batch_cancelled",
    "batch_stop_requested",
    "results_retracted",
    "calculation_retry_scheduled",
)


class CampaignsQuery(msgspec.Struct, frozen=True):
    """Which batches are listed. page: from 1, of `PAGE` batches."""

    name: str | None = None
    status: list[str] = []
    user: str | None = None
    page: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 1


class Listed(msgspec.Struct, frozen=True):
    """Batches of a page. filters: of the same rows, in the REST dialect."""

    rows: list[Any]
    more: bool
    filters: dict[str, str]


def with_progress(batches: Select[Any]) -> Select[Any]:
    """Add to batches who started them, results a minute of late, and seconds to the end.

    `rate`: per minute; `eta_seconds`: None where nothing runs, or nothing has ended of late.
    """
    jobs = batches.subquery("jobs")
    c = calculations.c
    late = (
        select(func.count().label("ended"))
        .where(
            c.tenant_id == jobs.c.tenant_id,
            c.batch_id == jobs.c.id,
            c.completed_at >= func.now() - RATE_OVER,
            jobs.c.status == "processing",
        )
        .lateral("late")
    )
    over = RATE_OVER.total_seconds()
    since = func.extract("epoch", func.now() - jobs.c.started_at)
    seconds = func.greatest(1.0, func.least(over, since))
    ended = func.coalesce(jobs.c.successful_count, 0) + func.coalesce(jobs.c.failed_count, 0)
    left = func.greatest(0, jobs.c.total_count - ended)
    is_running = (jobs.c.status == "processing") & (late.c.ended > 0)
    return (
        select(
            jobs,
            users.c.username,
            ended.label("ended"),
            case((is_running, late.c.ended * 60.0 / seconds)).label("rate"),
            case((is_running, left * seconds / late.c.ended)).label("eta_seconds"),
        )
        .join_from(jobs, late, true())
        .join(
            users,
            (users.c.tenant_id == jobs.c.tenant_id) & (users.c.id == jobs.c.user_id),
            isouter=True,
        )
        .order_by(jobs.c.created_at.desc(), jobs.c.id)
    )


def _listed(asked: Asked) -> Listed:
    query: CampaignsQuery = asked.query
    if unknown := [each for each in query.status if each not in LIFECYCLE.states]:
        raise RestError(
            400,
            "22023",
            f"no status {unknown[0]!r} of a batch",
            hint=f"They are {', '.join(LIFECYCLE.states)}.",
        )
    batches = select_batches(
        asked.tenant_id,
        name=query.name,
        statuses=query.status or None,
        limit=PAGE + 1,
    )
    if query.user is not None:
        named = select(users.c.id).where(
            users.c.tenant_id == asked.tenant_id, users.c.username == query.user
        )
        batches = batches.where(batches.selected_columns.user_id.in_(named))
    batches = batches.offset((query.page - 1) * PAGE)
    rows = list(asked.connection.execute(with_progress(batches)))
    filters = {"order": "created_at.desc,id"}
    if query.name is not None:
        filters["name"] = f"eq.{query.name}"
    if query.status:
        filters["status"] = f"in.({','.join(query.status)})"
    if query.user is not None:
        filters["user_id"] = f"eq.{rows[0].user_id}" if rows else "is.null"
    return Listed(rows[:PAGE], len(rows) > PAGE, filters)


CAMPAIGNS = Page(
    path="/campaigns",
    title="Campaigns",
    query=CampaignsQuery,
    template="campaigns/page.html",
    panels=(
        Panel(
            name="batches",
            title="Batches, the newest first",
            read=_listed,
            template="campaigns/list.html",
            live=LIVE,
        ),
    ),
)
