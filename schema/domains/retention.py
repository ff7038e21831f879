"""Retention: how long rows of read models are kept. The log itself keeps everything."""

from typing import Annotated

from msgspec import Meta

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Timestamp
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when

TableName = Annotated[str, Meta(min_length=1)]


@event("retention")
class RetentionSet(Event, frozen=True, kw_only=True):
    """A tenant decided how long a table keeps its rows. days: None is for ever."""

    table: TableName
    days: Annotated[float, Meta(gt=0)] | None


@event("retention")
class RetentionApplied(Event, frozen=True, kw_only=True):
    """From now on a table holds nothing that happened before `cutoff`, however it is filled."""

    table: TableName
    cutoff: Timestamp


lifecycle(
    "retention",
    {
        RetentionSet: when(NEW, "decided", then="decided"),
        RetentionApplied: when(NEW, "decided", then="decided"),
    },
)
