"""A measured pair: ours and a reference, run alternately, compared round by round."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[], float]
"""Does the work once and returns how fast it went; more is better."""


_BEGAN = time.monotonic()


@dataclass(frozen=True)
class Comparison:
    """What a pair showed; `ours` and `reference` hold one figure per round, in `unit`.

    Without a target it is told for information.
    """

    key: str
    unit: str
    target: float | None
    ours: Sequence[float]
    reference: Sequence[float]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Ours as a multiple of the reference of the same round."""
        return [a / b for a, b in zip(self.ours, self.reference, strict=True)]

    @property
    def ratio(self) -> float:
        """The median round's ratio."""
        return statistics.median(self.ratios)

    def facts(self) -> dict[str, Any]:
        """What a script wants to know, as JSON takes it."""
        return {
            "ratio": round(self.ratio, 3),
            "low": round(min(self.ratios), 3),
            "high": round(max(self.ratios), 3),
            "ours": round(statistics.median(self.ours), 1),
            "reference": round(statistics.median(self.reference), 1),
            "unit": self.unit,
            "target": self.target,
            "reached": None if self.target is None else self.ratio >= self.target,
            "rounds": len(self.ours),
            **self.notes,
        }


def compare(
    key: str, *, unit: str, target: float | None, ours: Run, reference: Run, rounds: int
) -> Comparison:
    """Run both sides `rounds` times; who goes first changes with every round."""
    measured: dict[Run, list[float]] = {ours: [], reference: []}
    for round_ in range(rounds):
        for side in (ours, reference) if round_ % 2 == 0 else (reference, ours):
            measured[side].append(side())
    comparison = Comparison(key, unit, target, measured[ours], measured[reference])
    say(described(comparison))
    return comparison


def described(comparison: Comparison) -> str:
    """One line about a comparison, for people."""
    facts = comparison.facts()
    target = "no target" if comparison.target is None else f"target {comparison.target:g}"
    return (
        f"{comparison.key}: {facts['ratio']:.2f} ({facts['low']:.2f} to {facts['high']:.2f}, "
        f"{target}): {facts['ours']:,.0f} against "
        f"{facts['reference']:,.0f} {comparison.unit}"
    )


def say(line: str) -> None:
    """Tell people how far it is; figures go to standard output."""
    print(f"{time.monotonic() - _BEGAN:4.0f} s  {line}", file=sys.stderr, flush=True)
