"""How metrics, requests and errors follow from the log."""

from quantum_forge.schema.events.telemetry import ApiRequestServed, Error, PerformanceMetric
from quantum_forge.schema.language.fold import count, largest, last, smallest, total
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.language.value import hour_of, occurred_at, position, user_id
from quantum_forge.schema.tables import telemetry as tables

performance_metrics = Projection(
    tables.performance_metrics,
    events=[PerformanceMetric],
    key={"id": position},
    columns={"timestamp": last(occurred_at())},
    retained=True,
)

performance_metrics_hourly = Projection(
    tables.performance_metrics_hourly,
    events=[PerformanceMetric],
    key={"metric_name": PerformanceMetric.metric_name, "hour": hour_of(occurred_at())},
    columns={
        "count": count(PerformanceMetric),
        "min": smallest(PerformanceMetric.value),
        "max": largest(PerformanceMetric.value),
        "sum": total(PerformanceMetric.value),
    },
)

api_usage_logs = Projection(
    tables.api_usage_logs,
    events=[ApiRequestServed],
    key={"id": position},
    columns={"user_id": last(user_id())},
    retained=True,
)

errors = Projection(tables.errors, events=[Error], key={"id": position}, retained=True)

PROJECTIONS = [performance_metrics, performance_metrics_hourly, api_usage_logs, errors]
