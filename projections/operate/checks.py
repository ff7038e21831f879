"""Checks of the read models for `qforge doctor`."""

from collections.abc import Mapping

from sqlalchemy import Connection

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.doctor.checks import Check, Finding, ok, problem, warning
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.statistics import read_head
from quantum_forge.projections.compiler.dead_letters import count_parked
from quantum_forge.projections.follow.lag import read_lags
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.project.projector import stale
from quantum_forge.projections.registry import PROJECTIONS

BEHIND = 60.0
"""Seconds by which a read model may be behind the log before somebody should know."""


def projections(connection: Connection) -> Finding:
    """Whether every read model is one of the present definitions, and up to date."""
    check = "projections"
    head = safe_head(connection)
    checkpoints = read_checkpoints(connection)
    changed = sorted(projection.name for projection in stale(connection, PROJECTIONS.values()))
    # A log that was restored from an older backup than its read models. Not the safe head, which an
    # unfinished append holds back.
    end = read_head(connection).last_assigned
    beyond = sorted(
        name for name in PROJECTIONS if name in checkpoints and checkpoints[name].position > end
    )
    if changed or beyond:
        said = [f"the definition of {name} has changed" for name in changed]
        said += [f"{name} is ahead of the log" for name in beyond]
        return problem(
            check,
            "; ".join(said),
            "fill the tables again from the log",
            f"qforge rebuild {' '.join(dict.fromkeys([*changed, *beyond]))}",
        )
    if parked := count_parked(connection):
        said = [f"{name} leaves out {counted(count, 'event')}" for name, count in parked.items()]
        return warning(
            check,
            "; ".join(said) + " that could not be folded",
            "see why, and retry or discard them",
            "qforge dead-letters list",
        )
    lags = {
        lag.projection: lag.seconds or 0.0
        for lag in read_lags(connection, PROJECTIONS.values(), head)
        if lag.is_behind and ((lag.seconds or 0.0) > BEHIND or lag.projection not in checkpoints)
    }
    if lags:
        said = [
            f"{name} is {seconds:.0f} s behind" if name in checkpoints else f"{name} never ran"
            for name, seconds in lags.items()
        ]
        return warning(check, "; ".join(said), "bring them up to date", "qforge project --once")
    return ok(check, f"all {len(PROJECTIONS)} are up to date")


CHECKS: Mapping[str, Check] = {"projections": projections}
