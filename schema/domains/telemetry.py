"""Telemetry of services: metrics, requests served, and errors."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta
from sqlalchemy import BigInteger, Double, Index, Integer, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.domains.calculations import ErrorSeverity
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Count, IndexedText
from quantum_forge.schema.language.fold import count, largest, last, smallest, total
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import (
    TIMESTAMP,
    check,
    column,
    derived,
    either,
    one_of,
    read_model,
)
from quantum_forge.schema.language.value import entity_id, hour_of, occurred_at, position, user_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

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

    endpoint: IndexedText
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

    service: IndexedText
    severity: ErrorSeverity
    error_type: IndexedText
    message: str
    stack_trace: str | None = None
    context: dict[str, object] | None = None
    correlated_id: UUID | None = None


def _by_day_and_kind(tenant_id: UUID, found: Any) -> UUID:
    return natural_id("performance_regression", tenant_id, found.day, found.kind)


@event("performance_regression", identity=_by_day_and_kind)
class PerformanceRegressionFound(Event, frozen=True, kw_only=True):
    """Calculations of one kind took longer on a day than on the days before.

    day: in UTC, as 2026-03-31. kind: method, optimisation and size of the molecules. average,
    average_before: wall time in s. versions, versions_before: of the programs. days_before: how
    many days it is compared with.
    """

    day: IndexedText
    kind: str
    count: Count
    average: Annotated[float, Meta(ge=0)]
    count_before: Count
    average_before: Annotated[float, Meta(ge=0)]
    days_before: Count
    versions: list[str]
    versions_before: list[str]


lifecycle("performance_regression", {PerformanceRegressionFound: when(NEW, then="found")})

performance_metrics = read_model(
    "performance_metrics",
    "One row per measurement",
    [column("id", BigInteger, "Position of its event in the log")],
    column("metric_type", Text, "timer, gauge, counter, …", required=True),
    column("metric_name", Text, "Name of the metric", required=True),
    column("value", Double, "Measured value, in `unit`", required=True),
    column("unit", Text, "Unit of the value: s, MB, 1/s, …", required=True),
    column("tags", JSONB, "Labels that distinguish measurements of the same name"),
    column("timestamp", TIMESTAMP, "Time of the measurement", required=True),
    Index("performance_metrics_name_idx", "tenant_id", "metric_name", "timestamp"),
)

performance_metrics_hourly = read_model(
    "performance_metrics_hourly",
    "One row per metric and hour",
    [
        column("metric_name", Text, "Name of the metric"),
        column("hour", TIMESTAMP, "Start of the hour, in UTC"),
    ],
    column("unit", Text, "Unit of the latest value: s, MB, 1/s, …"),
    column("count", BigInteger, "Number of measurements in this hour", required=True),
    column("min", Double, "Smallest value, in `unit`"),
    column("max", Double, "Largest value, in `unit`"),
    column("sum", Numeric, "Sum of the values, exact, in `unit`", required=True),
    derived("average", Double, "sum / nullif(count, 0)", "sum / count, in `unit`"),
    Index("performance_metrics_hourly_hour_idx", "tenant_id", "hour"),
)

api_usage_logs = read_model(
    "api_usage_logs",
    "One row per API request",
    [column("id", BigInteger, "Position of its event in the log")],
    column("user_id", Uuid, "User who sent the request; null if not signed in"),
    column("endpoint", Text, "Path of the request, without its parameters", required=True),
    column("method", Text, "GET, POST, …", required=True),
    column("status_code", Integer, "HTTP status of the answer", required=True),
    column("response_time_ms", Double, "Response time in ms", required=True),
    column("request_size_bytes", BigInteger, "Size of the request, in bytes"),
    column("response_size_bytes", BigInteger, "Size of the answer, in bytes"),
    column("error_message", Text, "Error message"),
    column("query_parameters", JSONB, "Parameters of the request, without secrets"),
    check("status_code_is_http", "status_code BETWEEN 100 AND 599"),
    check("response_time_is_not_negative", "response_time_ms >= 0"),
    Index("api_usage_logs_user_idx", "tenant_id", "user_id", "created_at"),
    Index("api_usage_logs_endpoint_idx", "tenant_id", "endpoint", "created_at"),
    Index("api_usage_logs_created_idx", "tenant_id", "created_at"),
)

performance_regressions = read_model(
    "performance_regressions",
    "One row per day and kind of calculation that took longer than on the days before",
    [column("id", Uuid, "uuid5 of tenant, day and kind")],
    column("day", Text, "The day in UTC, as 2026-03-31", required=True),
    column("kind", Text, "Method, optimisation and size of the molecules", required=True),
    column("count", BigInteger, "Number of calculations on the day", required=True),
    column("average", Double, "Their average wall time in s", required=True),
    column("count_before", BigInteger, "Number of calculations on the days before", required=True),
    column("average_before", Double, "Their average wall time in s", required=True),
    column("days_before", BigInteger, "Number of days compared with", required=True),
    column("versions", JSONB, "Programs and versions on the day", required=True),
    column("versions_before", JSONB, "Programs and versions on the days before", required=True),
    Index("performance_regressions_day_idx", "tenant_id", "day"),
)

errors = read_model(
    "errors",
    "One row per error of a service",
    [column("id", BigInteger, "Position of its event in the log")],
    column("service", Text, "User affected", required=True),
    column("severity", Text, either(ErrorSeverity), required=True),
    column("error_type", Text, "Type of the error", required=True),
    column("message", Text, "Message", required=True),
    column("stack_trace", Text, "Stack trace"),
    column("context", JSONB, "Context of the error"),
    column("correlated_id", Uuid, "Entity that the error concerns"),
    one_of("severity_of_error_is_known", "severity", ErrorSeverity),
    Index("errors_type_idx", "tenant_id", "error_type", "created_at"),
    Index("errors_service_idx", "tenant_id", "service", "created_at"),
    searched("errors", "message", "stack_trace"),
)

projection(
    performance_metrics,
    events=[PerformanceMetric],
    key={"id": position},
    columns={"timestamp": last(occurred_at())},
    retained=True,
)

projection(
    performance_metrics_hourly,
    events=[PerformanceMetric],
    key={"metric_name": PerformanceMetric.metric_name, "hour": hour_of(occurred_at())},
    columns={
        "count": count(PerformanceMetric),
        "min": smallest(PerformanceMetric.value),
        "max": largest(PerformanceMetric.value),
        "sum": total(PerformanceMetric.value),
    },
)

projection(
    performance_regressions,
    events=[PerformanceRegressionFound],
    key={"id": entity_id},
)

projection(
    api_usage_logs,
    events=[ApiRequestServed],
    key={"id": position},
    columns={"user_id": last(user_id())},
    retained=True,
)

projection(errors, events=[Error], key={"id": position}, retained=True)

written_by(performance_metrics, insert=PerformanceMetric)

written_by(errors, insert=Error)
