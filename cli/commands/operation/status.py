"""`qforge status`: whether everything is well, and what is to be done if not."""

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option, store_option
from quantum_forge.cli.served import Served, opened
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.doctor.checks.log import AHEAD
from quantum_forge.eventstore.log.statistics import Holder
from quantum_forge.eventstore.spool.state import spool_state
from quantum_forge.projections.follow.lag import Lag
from quantum_forge.projections.operate.status import Status


@click.command(cls=Command)
@click.option("--exact", is_flag=True, help="Count the events exactly; slow for a long log.")
@store_option()
@json_option()
def status(exact: bool, store: str | None, as_json: bool) -> None:
    """Show the log, the projections and their lag.

    In a long log, the numbers of frequent events are estimates, marked with ≈. Of a served store:
    whether it answers, who the key stands for, its calculations, and the spool here.

    \b
    Example:
      qforge status
      qforge status --exact
      qforge status --json | jq .queue
    """
    settings = load_settings()
    with opened(settings, store) as served:
        if served is not None:
            _show_served(served, as_json)
            return
    with open_forge(settings) as forge:
        found = forge.status(exact=exact)
    if as_json:
        console.emit_json(found)
    else:
        _show(found)


def _show_served(served: Served, as_json: bool) -> None:
    """Print what a machine that reaches the store by HTTPS can say of it."""
    caller = served.caller
    with served.reading() as log:
        position = log.last_assigned()
    queue = {
        row["status"]: row["count"]
        for row in served.client.get("calculations", select="status,count()")
    }
    spool = spool_state(served.spool)
    found = {
        "store": served.store.where,
        "user": caller.name,
        "role": caller.role,
        "tenant_id": caller.tenant_id,
        "last_assigned": position,
        "queue": queue,
        "spooled": spool.events,
        "spool": spool.directory,
    }
    if as_json:
        console.emit_json(found)
        return
    rows = [(name, value) for name, value in found.items() if name != "queue"]
    console.table(("what", "value"), rows)
    console.emit("")
    console.table(("calculations", "count"), queue.items(), right=["count"])
    if spool.events:
        console.note("The spool has events for this store; run: qforge spool drain")


def _show(found: Status) -> None:
    now, head = found.health, found.head
    console.table(
        ("what", "value"),
        [
            ("database", found.database),
            (
                "server",
                f"PostgreSQL {now.server_version}, {'ready' if now.is_ready else 'read-only'}, "
                f"{now.latency:.1f} ms, {now.database_size / 1e6:.1f} MB, "
                f"{now.connections} of {now.max_connections} connections",
            ),
            ("safe head", head.safe),
            ("last assigned position", head.last_assigned),
            *(("held back by", _holder(holder)) for holder in head.held_by),
            *(("ignored lock of", _holder(holder)) for holder in head.ignored),
            ("events", _about(sum(found.events.values()), bool(found.estimated))),
        ],
    )
    console.emit("")
    console.table(
        ("event_type", "events"),
        [(name, _about(n, name in found.estimated)) for name, n in found.events.items()],
        right=["events"],
    )
    console.emit("")
    _show_projections(found)
    console.emit("")
    console.table(("calculations", "count"), found.queue.items(), right=["count"])
    if found.stale:
        console.note(f"Definitions have changed; run: qforge rebuild {' '.join(found.stale)}")
    if found.partitions_ahead < AHEAD:
        console.note(
            f"The partitions of the log have room for {found.partitions_ahead} more positions; "
            "run: qforge db maintain"
        )
    if found.parked:
        number = sum(found.parked.values())
        console.note(
            f"{counted(number, 'event')} could not be folded; see: qforge dead-letters list"
        )
    if any(lag.is_behind and lag.projection not in found.stale for lag in found.lags):
        console.note("Some events are not projected yet; run: qforge project --once")


def _show_projections(found: Status) -> None:
    """Print those that need something, and how many do not."""
    needy = [
        lag
        for lag in found.lags
        if lag.is_behind or lag.projection in {*found.stale, *found.parked}
    ]
    if needy:
        console.table(
            ("projection", "position", "lag", "seconds_behind", "parked", "state"),
            (
                (
                    lag.projection,
                    lag.position,
                    lag.positions,
                    f"{lag.seconds or 0:.1f}",
                    found.parked.get(lag.projection, 0),
                    _state(lag, found.stale),
                )
                for lag in needy
            ),
            right=["position", "lag", "seconds_behind", "parked"],
        )
    console.emit(f"{len(found.lags) - len(needy)} of {len(found.lags)} projections are up to date.")


def _state(lag: Lag, stale: list[str]) -> str:
    if lag.projection in stale:
        return "needs a rebuild"
    return "behind" if lag.is_behind else "up to date"


def _about(number: int, is_estimated: bool) -> str:
    """A number, or three digits of it."""
    return f"≈ {float(f'{number:.2e}'):.0f}" if is_estimated else str(number)


def _holder(holder: Holder) -> str:
    who = f"pid {holder.pid}"
    if holder.user is not None:
        who += f", user {holder.user}"
    if holder.transaction_age is not None:
        who += f", for {holder.transaction_age:.1f} s"
    if holder.query:
        query = " ".join(holder.query.split())
        who += f": {query if len(query) <= 200 else query[:199] + '…'}"
    return who
