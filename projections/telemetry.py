"""How metrics, requests and errors follow from the log."""

from projections.fold import last
from projections.projection import Projection
from projections.value import occurred_at, position, user_id
from schema.events.telemetry import ApiRequestServed, Error, PerformanceMetric
from schema.tables import telemetry as tables

performance_metrics = Projection(
    tables.performance_metrics,
    events=[PerformanceMetric],
    key={"id": position},
    columns={"timestamp": last(occurred_at())},
)

api_usage_logs = Projection(
    tables.api_usage_logs,
    events=[ApiRequestServed],
    key={"id": position},
    columns={"user_id": last(user_id())},
)

errors = Projection(tables.errors, events=[Error], key={"id": position})

PROJECTIONS = [performance_metrics, api_usage_logs, errors]
