"""Number of positions per transaction, adapted to how long folding takes."""

START = 10_000
LEAST = 100
MOST = 100_000

QUICK = 0.25
"""Seconds below which a full batch may be twice as large the next time."""

LONG = 1.0
"""Seconds above which a batch must be smaller: so long others wait for its rows and its end."""


class BatchSize:
    """The size of the next batch; a fixed one stays as it is."""

    def __init__(self, fixed: int | None = None) -> None:
        self.positions = fixed or START
        self._is_fixed = fixed is not None

    def took(self, positions: int, seconds: float) -> None:
        """Learn from how long a batch of so many positions took."""
        if self._is_fixed:
            return
        if seconds > LONG:
            self.positions = max(min(self.positions, positions) // 2, LEAST)
        elif seconds < QUICK and positions >= self.positions:
            self.positions = min(self.positions * 2, MOST)
