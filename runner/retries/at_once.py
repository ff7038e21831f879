"""Schedules the retries of a batch at once, for whichever `qforge retry` comes next."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import select

from quantum_forge.eventstore.base.errors import RuleBroken, VersionConflict
from quantum_forge.eventstore.recording.log_reader import (
    DatabaseReader,
    select_retry_candidates,
)
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.retries.backoff import Backoff
from quantum_forge.runner.retries.failed_calculations import Verdict, read_failed
from quantum_forge.schema.domains.batches import batch_items
from quantum_forge.schema.domains.calculations import CalculationRetryScheduled, calculations


class ScheduledAtOnce(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, in calculations.

    scheduled: that are due now. waiting: that had a time before, which stays. given_up: that failed
    too often, or cannot be repeated from the log. overruled: that another process changed first.
    """

    scheduled: int = 0
    waiting: int = 0
    given_up: int = 0
    overruled: int = 0


def schedule_batch(recorder: Recorder, batch_id: UUID) -> ScheduledAtOnce:
    """Schedule a retry of each failed item of a batch now, as far as the limits allow one.

    Nothing runs here: `qforge retry` does that, on a machine with an engine.

    Args:
        recorder: of whoever wants it, without a spool.
        batch_id: whose items, whichever batch computed them.

    Raises:
        AccessRefused: when the author may not.
    """
    tenant_id = recorder.tenant_id
    items = select(batch_items.c.calculation_id).where(
        batch_items.c.tenant_id == tenant_id, batch_items.c.batch_id == batch_id
    )
    with recorder.engine.connect() as connection:
        log = DatabaseReader(connection, tenant_id)
        wanted = select_retry_candidates(tenant_id).where(calculations.c.id.in_(items))
        now = log.server_time()
        known = read_failed(log, connection.scalars(wanted).all(), Backoff(), now=now)
    counts = dict.fromkeys(ScheduledAtOnce.__struct_fields__, 0)
    for each in known:
        match each.verdict:
            case Verdict.TO_SCHEDULE:
                event = CalculationRetryScheduled(
                    molecule_id=each.molecule_id,
                    batch_id=each.batch_id,
                    attempt=each.attempt,
                    retry_at=now,
                    delay_seconds=timedelta().total_seconds(),
                )
                new = recorder.new(each.calculation_id, event, expected_version=each.version)
                try:
                    recorder.record_all(new)
                except (VersionConflict, RuleBroken):
                    counts["overruled"] += 1
                else:
                    counts["scheduled"] += 1
            case Verdict.GIVEN_UP:
                counts["given_up"] += 1
            case Verdict.WAITING | Verdict.DUE:
                counts["waiting"] += 1
    return ScheduledAtOnce(**counts)
