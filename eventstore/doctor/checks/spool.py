"""The spool of this machine: what waits for the database, and what it will never take."""

from pathlib import Path

from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.doctor.checks.finding import Finding, ok, problem, warning
from quantum_forge.eventstore.spool.directory import spool_directory
from quantum_forge.eventstore.spool.state import spool_state


def spool(home: Path) -> Finding:
    """Whether everything that was recorded here is in the log."""
    check = "spool"
    state = spool_state(spool_directory(home))
    if state.needs_attention:
        unusable = "".join(f"; {each.path}: {each.reason}" for each in state.unusable[:3])
        return problem(
            check,
            f"waiting: {counted(state.events, 'event')}; some appends were rejected, or bytes are "
            f"damaged, or entries cannot be used{unusable}",
            "list them and the reasons",
            "qforge spool status",
        )
    waiting = [each for each in state.segments if each.events and not each.is_in_use]
    if waiting:
        return warning(
            check,
            f"waiting for the database: {counted(sum(each.events for each in waiting), 'event')}",
            "append them to the log",
            "qforge spool drain",
        )
    if state.events:
        return ok(check, f"{counted(state.events, 'event')}, of running processes")
    return ok(check, "empty")
