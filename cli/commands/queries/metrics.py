"""`qforge metrics`: gauges for a monitoring system, and how services do over time."""

from datetime import datetime
from uuid import UUID

import click
from sqlalchemy import Connection

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option, time_range_options
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.projections.operate.prometheus import exposition, read_gauges
from quantum_forge.projections.queries import regressions
from quantum_forge.projections.queries.regressions import Bucket, By, Point
from quantum_forge.projections.registry import PROJECTIONS

PLOT_WIDTH = 30
LISTED = (
    Shown("time"),
    Shown("group", long=True, rank=1),
    Shown("count", 0),
    Shown("average", 0),
    Shown("min", 0, rank=4),
    Shown("max", 0, rank=4),
    Shown("unit", rank=1),
    Shown("change", 0, rank=2),
)
PLOT = Shown("plot", rank=3)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def metrics(context: click.Context) -> None:
    """Print gauges for Prometheus, or metrics of calculations and services over time.

    Without a command: the head of the log, lag and dead letters of each projection, this machine's
    spool and your calculations by status, in Prometheus' text format.

    \b
    Example:
      qforge metrics > metrics.tmp && mv metrics.tmp /var/lib/node_exporter/qforge.prom
      qforge metrics show --by method
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    spool = spool_state(spool_directory(settings.home))
    with open_forge(settings) as forge, forge.connect() as connection:
        gauges = read_gauges(connection, PROJECTIONS.values(), settings.tenant_id, spool)
    click.echo(exposition(gauges), nl=False)


@metrics.command()
@click.argument("name", required=False)
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    help="Group calculations by method, size of the molecule, or program version.",
)
@click.option(
    "--per",
    type=click.Choice([bucket.value for bucket in Bucket]),
    default=Bucket.DAY.value,
    show_default=True,
    help="Length of the period to average over, in UTC.",
)
@time_range_options()
@view_options()
@json_option()
def show(
    name: str | None,
    by: str | None,
    per: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Print the average wall time of calculations over time, or the metric NAME.

    Of completed calculations, by the time at which they began. The change is relative to the
    previous row of the same group.

    \b
    Example:
      qforge metrics show --by version --since 30d
      qforge metrics show --by size --per hour --since 2d
      qforge metrics show queue_depth --json
    """
    if name is not None and by is not None:
        raise click.UsageError("--by groups calculations; it does not apply to a named metric")
    tenant_id = (settings := load_settings()).tenant_id
    bucket = Bucket(per)
    reads = ["calculations", "molecules"] if name is None else ["performance_metrics_hourly"]
    with open_forge(settings, reads=reads) as forge, forge.connect() as connection:
        if name is None:
            query = regressions.select_wall_times(
                tenant_id,
                bucket=bucket,
                by=None if by is None else By(by),
                since=since,
                until=until,
            )
        else:
            query = regressions.select_metric(
                tenant_id, name, bucket=bucket, since=since, until=until
            )
        found = regressions.points(connection, query)
        if not found:
            _tell_what_there_is(connection, tenant_id, name)
    if as_json:
        console.emit_json(found)
    else:
        _plot(found, bucket)


def _tell_what_there_is(connection: Connection, tenant_id: UUID, name: str | None) -> None:
    if name is None:
        console.note("No calculation has completed in this period.")
        return
    names = regressions.metric_names(connection, tenant_id)
    every = f"there is {', '.join(names) or 'no metric'}."
    console.note(f"No measurement is named {name!r}; {suggestion(name, names, otherwise=every)}")


def _plot(found: list[Point], bucket: Bucket) -> None:
    """A row for each point; on a terminal, with a bar whose length is the average's."""
    top = max((point.average for point in found), default=0.0)
    is_terminal = console.is_terminal()
    written = "%Y-%m-%d %H:%M" if bucket is Bucket.HOUR else "%Y-%m-%d"
    columns.table(
        (*LISTED, PLOT) if is_terminal else LISTED,
        (
            {
                "time": f"{point.time:{written}}" if is_terminal else point.time,
                "group": point.group,
                "count": point.count,
                "average": f"{point.average:.4g}",
                "min": f"{point.min:.4g}",
                "max": f"{point.max:.4g}",
                "unit": point.unit,
                "change": None if point.change is None else f"{point.change:+.0%}",
                "plot": _bar(point.average, top),
            }
            for point in found
        ),
    )


def _bar(value: float, top: float) -> str:
    return "█" * round(PLOT_WIDTH * max(value, 0.0) / top) if top > 0 else ""
