"""Checks of `qforge doctor`, by subject; each makes one finding."""

from quantum_forge.eventstore.doctor.checks.finding import (
    Check,
    Finding,
    Level,
    ok,
    problem,
    psql,
    warning,
)

__all__ = ["Check", "Finding", "Level", "ok", "problem", "psql", "warning"]
