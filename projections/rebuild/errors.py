"""Errors of rebuilds; completed work is kept unless the error says otherwise."""

from collections.abc import Sequence

from quantum_forge.eventstore.base.errors import QuantumForgeError


class RebuildRunning(QuantumForgeError):
    """Another process rebuilds the same projection."""

    def __init__(self, projection: str) -> None:
        self.projection = projection
        super().__init__(f"another process is rebuilding {projection}: wait for it, or end it")


class RebuildStopped(QuantumForgeError):
    """A rebuild was asked to stop, and did so between two steps."""

    def __init__(self, projection: str) -> None:
        self.projection = projection
        super().__init__(
            f"the rebuild of {projection} was stopped; `qforge rebuild {projection}` continues it"
        )


class SwapBlocked(QuantumForgeError):
    """Somebody held the live table, or an old snapshot, for too long; the shadow is kept."""

    def __init__(self, projection: str, blockers: Sequence[str]) -> None:
        self.projection = projection
        self.blockers = list(blockers)
        who = "; ".join(blockers) or "short transactions"
        super().__init__(
            f"{projection} could not be swapped, because of {who}. The new table is filled: end "
            f"these sessions, and run `qforge rebuild {projection}` again"
        )


class SwapImpossible(QuantumForgeError):
    """Something hangs on the live table that cannot be moved to another; nothing was done."""

    def __init__(self, projection: str, reasons: Sequence[str]) -> None:
        self.projection = projection
        self.reasons = list(reasons)
        super().__init__(
            f"{projection} cannot be swapped for a new table because of {'; '.join(reasons)}: "
            "drop or change that, rebuild, and create it again"
        )
