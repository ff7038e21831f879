"""What people and runners do to batches."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from quantum_forge.eventstore.base.ids import batch_id
from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.schema.events.batches import (
    BatchCancelled,
    BatchCompleted,
    BatchCreated,
    BatchFailed,
    BatchItemRefused,
    BatchItemReused,
    BatchItemsAdded,
    BatchItemsNamed,
    BatchProgressed,
    BatchResumed,
    BatchStarted,
)


def _identity(tenant_id: UUID, event: Any) -> UUID:
    source = None if event.source is UNSET else event.source
    return batch_id(tenant_id, event.name, event.parameters, source)


class Batches(Domain):
    """A batch is known by its name, its parameters and, unless the user named it, its file."""

    plan = creates(BatchCreated, identity=_identity)
    start = creates(BatchStarted, identity=_identity)
    resume = happens(BatchResumed)
    add_items = happens(BatchItemsAdded)
    name_items = happens(BatchItemsNamed)
    reuse_item = happens(BatchItemReused)
    refuse_item = happens(BatchItemRefused)
    report_progress = happens(BatchProgressed)
    complete = happens(BatchCompleted)
    fail = happens(BatchFailed)
    cancel = happens(BatchCancelled)
