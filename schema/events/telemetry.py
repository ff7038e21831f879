"""What services tell of themselves: metrics, requests that they served, errors that they met."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from quantum_forge.schema.events.chemistry import Count, ErrorSeverity
from quantum_forge.schema.language.event import Event, event

Milliseconds = Annotated[float, Meta(ge=0)]


@event("metric_source")
class PerformanceMetric(Event, frozen=True, kw_only=True):
    """One measurement.

    metric_type: what kind it is (`timer`, `gauge`, `counter`, …). metric_name: what was measured.
    unit: of the value (`s`, `MB`, `1/s`, …). tags: by what it can be told from its like.
    """

    metric_type: str
    metric_name: Annotated[str, Meta(min_length=1, max_length=200)]
    value: float
    unit: str
    tags: dict[str, object] | None = None


@event("api_server")
class ApiRequestServed(Event, frozen=True, kw_only=True):
    """An HTTP request was answered, well or badly.

    query_parameters: without secrets. sizes: in bytes.
    """

    endpoint: str
    method: str
    status_code: Annotated[int, Meta(ge=100, le=599)]
    response_time_ms: Milliseconds
    request_size_bytes: Count | None = None
    response_size_bytes: Count | None = None
    error_message: str | None = None
    query_parameters: dict[str, object] | None = None


@event("service")
class Error(Event, frozen=True, kw_only=True):
    """A service met an error that belongs to no calculation.

    correlated_id: the entity that it concerned, if any.
    """

    service: str
    severity: ErrorSeverity
    error_type: str
    message: str
    stack_trace: str | None = None
    context: dict[str, object] | None = None
    correlated_id: UUID | None = None
