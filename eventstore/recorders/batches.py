"""What people and runners do to batches."""

from typing import Any
from uuid import UUID

from eventstore.ids import batch_id
from eventstore.recorders.domain import Domain, creates, happens
from schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchCreated,
    BatchFailed,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)


def _by_name(tenant_id: UUID, event: Any) -> UUID:
    return batch_id(tenant_id, event.name)


class Batches(Domain):
    """A batch is known by its name."""

    plan = creates(BatchCreated, identity=_by_name)
    start = creates(BatchStarted, identity=_by_name)
    resume = happens(BatchResumed)
    add_items = happens(BatchItemsAdded)
    reuse_item = happens(BatchItemReused)
    refuse_item = happens(BatchItemRefused)
    report_progress = happens(BatchProgressed)
    complete = happens(BatchCompleted)
    fail = happens(BatchFailed)
    cancel = happens(BatchCancelled)
