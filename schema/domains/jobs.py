"""Jobs on quantum devices, and their results."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta
from sqlalchemy import BigInteger, Double, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at, user_id
from quantum_forge.schema.language.writing import written_by


@event("job")
class JobQueued(Event, frozen=True, kw_only=True):
    """A version of an app shall run on a device. shots: how often it is measured."""

    app_version_id: UUID
    device_id: UUID
    shots: Annotated[int, Meta(ge=1)]
    parameters: dict[str, object]


@event("job")
class JobStarted(Event, frozen=True, kw_only=True):
    """The device began with a job."""


@event("job")
class JobCompleted(Event, frozen=True, kw_only=True):
    """A job has a result.

    counts: how often each bit string was measured. fidelity: from 0 to 1.
    execution_time_seconds: s, on the device. result_key: where the whole result is.
    """

    counts: dict[str, Count]
    execution_time_seconds: Annotated[float, Meta(ge=0)]
    fidelity: Annotated[float, Meta(ge=0, le=1)] | None = None
    result_key: str | None = None


@event("job")
class JobFailed(Event, frozen=True, kw_only=True):
    """A job ended without a result."""

    error_message: str


@event("job")
class JobCancelled(Event, frozen=True, kw_only=True):
    """Somebody stopped a job."""

    reason: str | None = None


LIFECYCLE = lifecycle(
    "job",
    {
        JobQueued: when(
            NEW,
            then="queued",
            needs={
                "app_version_id": ("app_version", "published"),
                "device_id": ("device", "online"),
            },
        ),
        JobStarted: when("queued", then="running"),
        JobCompleted: when("running", then="completed"),
        JobFailed: when("queued", "running", then="failed"),
        JobCancelled: when("queued", "running", then="cancelled"),
    },
)

jobs = read_model(
    "jobs",
    "One row per run of an app's version on a device",
    [column("id", Uuid, "The job")],
    column("app_version_id", Uuid, "Id of the version of the app", required=True),
    column("device_id", Uuid, "Id of the device", required=True),
    column("user_id", Uuid, "User who queued it"),
    column("status", Text, either(LIFECYCLE.states), required=True),
    column("shots", BigInteger, "Number of measurements", required=True),
    column("parameters", JSONB, "Parameters of the run", required=True),
    column("queued_at", TIMESTAMP, "Time at which it was queued", required=True),
    column("started_at", TIMESTAMP, "Start on the device"),
    column("finished_at", TIMESTAMP, "End, successful or not"),
    column("error_message", Text, "Reason of the failure"),
    one_of("job_status_is_known", "status", LIFECYCLE.states),
    check("shots_are_positive", "shots > 0"),
    Index("jobs_version_idx", "tenant_id", "app_version_id"),
    Index("jobs_device_idx", "tenant_id", "device_id", "status"),
    Index("jobs_user_idx", "tenant_id", "user_id", "queued_at"),
    Index("jobs_status_idx", "tenant_id", "status", "queued_at"),
)

job_results = read_model(
    "job_results",
    "One row per completed job",
    [column("job_id", Uuid, "The job")],
    column("counts", JSONB, "Number of measurements of each bit string", required=True),
    column("fidelity", Double, "Fidelity, from 0 to 1"),
    column("execution_time_seconds", Double, "Time on the device in s", required=True),
    column("result_key", Text, "Location of the complete result"),
    check("fidelity_is_a_fraction", "fidelity BETWEEN 0 AND 1"),
    check("execution_time_is_not_negative", "execution_time_seconds >= 0"),
)

projection(
    jobs,
    events=[JobQueued, JobStarted, JobCompleted, JobFailed, JobCancelled],
    key={"id": entity_id},
    opens=[JobQueued],
    columns={
        "user_id": last(user_id(JobQueued)),
        "status": constant(
            status_after(JobQueued, JobStarted, JobCompleted, JobFailed, JobCancelled)
        ),
        "queued_at": last(occurred_at(JobQueued)),
        "started_at": last(occurred_at(JobStarted)),
        "finished_at": last(occurred_at(JobCompleted, JobFailed, JobCancelled)),
        "error_message": last(JobFailed.error_message),
    },
)

projection(
    job_results,
    events=[JobCompleted],
    key={"job_id": entity_id},
)

written_by(jobs, insert=JobQueued, update=[JobStarted, JobFailed, JobCancelled])

written_by(job_results, insert=JobCompleted)
