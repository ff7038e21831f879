"""Gauges for Prometheus: head, lag, dead letters, spool, queue."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from quantum_forge.eventstore.log.statistics import Head, read_head
from quantum_forge.eventstore.spool.state import SpoolState
from quantum_forge.projections.compiler.dead_letters import count_parked
from quantum_forge.projections.follow.lag import Lag, read_lags
from quantum_forge.projections.project.projector import stale
from quantum_forge.projections.queries.calculations import calculations_by_status
from quantum_forge.schema.language.projection import Projection


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one moment.

    stale: the projections that wait for a rebuild. parked: by projection, how many events could
    not be folded and wait for somebody. queue: the tenant's calculations by status. spool: of this
    machine; None where there is none to look at.
    """

    tenant_id: UUID
    head: Head
    lags: list[Lag]
    stale: list[str]
    parked: Mapping[str, int]
    queue: Mapping[str, int]
    spool: SpoolState | None


def read_gauges(
    connection: Connection,
    projections: Iterable[Projection],
    tenant_id: UUID,
    spool: SpoolState | None,
) -> Gauges:
    """Measure; costs a few look-ups in indexes for each projection that is behind.

    Raises:
        UnsafeIsolation: when the transaction cannot see what is committed.
    """
    projections = list(projections)
    head = read_head(connection)
    return Gauges(
        tenant_id=tenant_id,
        head=head,
        lags=read_lags(connection, projections, head.safe),
        stale=[projection.name for projection in stale(connection, projections)],
        parked=count_parked(connection),
        queue=calculations_by_status(connection, tenant_id),
        spool=spool,
    )


def exposition(gauges: Gauges) -> str:
    """The gauges in Prometheus' text format.

    https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Measured(gauges))
    return generate_latest(registry).decode()


class _Measured(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauges = self._gauges
        yield _one(
            "qforge_log_safe_head_position",
            "Position up to which the log can be read: no further event can appear at or below it",
            gauges.head.safe,
        )
        yield _one(
            "qforge_log_last_assigned_position",
            "Highest position assigned to any append, committed or not",
            gauges.head.last_assigned,
        )
        lags = gauges.lags
        yield _each(
            "qforge_projection_position",
            "Position up to which a projection has folded the log",
            {lag.projection: lag.position for lag in lags},
        )
        yield _each(
            "qforge_projection_lag_positions",
            "Positions between a projection and the safe head, whether or not they hold events",
            {lag.projection: lag.positions for lag in lags},
        )
        yield _each(
            "qforge_projection_lag_seconds",
            "Age of the oldest event that a projection has yet to fold; 0 when there is none",
            {lag.projection: lag.seconds or 0.0 for lag in lags},
        )
        yield _each(
            "qforge_projection_stale",
            "1 for a projection whose definition has changed and which needs a rebuild",
            {lag.projection: int(lag.projection in gauges.stale) for lag in lags},
        )
        yield _each(
            "qforge_dead_letters",
            "Events that a projection could not fold and that wait for a decision",
            {lag.projection: gauges.parked.get(lag.projection, 0) for lag in lags},
        )
        calculations = GaugeMetricFamily(
            "qforge_calculations",
            "Calculations of a tenant by status, as projected",
            labels=["tenant_id", "status"],
        )
        for status, count in gauges.queue.items():
            calculations.add_metric([str(gauges.tenant_id), status], count)
        yield calculations
        if gauges.spool is not None:
            yield from _spooled(gauges.spool)


def _spooled(spool: SpoolState) -> Iterator[GaugeMetricFamily]:
    yield _one(
        "qforge_spool_events",
        "Events in the spool of this machine",
        spool.events,
    )
    yield _one("qforge_spool_bytes", "Size of the spool on this machine", spool.bytes)
    yield _one(
        "qforge_spool_rejected_appends",
        "Appends from this machine's spool that the database rejected",
        len(spool.rejected),
    )
    yield _one(
        "qforge_spool_needs_attention",
        "1 when the spool holds data that no drain can append to the log",
        int(spool.needs_attention),
    )
    if spool.oldest is not None:
        yield _one(
            "qforge_spool_oldest_timestamp_seconds",
            "Time of the oldest event in the spool, as Unix time",
            spool.oldest.timestamp(),
        )


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _each(name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["projection"])
    for projection, value in values.items():
        family.add_metric([projection], value)
    return family
