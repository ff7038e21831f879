"""Actions on batches."""

from quantum_forge.eventstore.recording.domain import Domain, creates, happens
from quantum_forge.schema.domains.batches import (
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


class Batches(Domain):
    """A batch is known by its name, its parameters and, unless the user named it, its file."""

    plan = creates(BatchCreated)
    start = creates(BatchStarted)
    resume = happens(BatchResumed)
    add_items = happens(BatchItemsAdded)
    name_items = happens(BatchItemsNamed)
    reuse_item = happens(BatchItemReused)
    refuse_item = happens(BatchItemRefused)
    report_progress = happens(BatchProgressed)
    complete = happens(BatchCompleted)
    fail = happens(BatchFailed)
    cancel = happens(BatchCancelled)
