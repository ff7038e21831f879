"""Mixture of settings in a dataset: results of several methods, solvents, levels or programs."""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

SETTINGS = {
    "method": "methods",
    "solvation_model": "solvents",
    "optimization_level": "levels of optimisation",
    "program": "programs",
}
"""Columns of a dataset in which its rows should agree, and what is mixed where they do not."""

_NULL = {"solvation_model": "gas phase", "optimization_level": "single point"}


class Settings:
    """Counts the rows of a dataset by each setting, batch by batch."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in SETTINGS}

    def update(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        for name, counts in self._counts.items():
            for pair in pc.value_counts(batch[name]).to_pylist():
                counts[pair["values"] or ""] += pair["counts"]

    def by_value(self) -> dict[str, dict[str, int]]:
        """Number of rows by setting and value, the empty text for null."""
        return {name: dict(sorted(counts.items())) for name, counts in self._counts.items()}


def mixtures(settings: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A sentence for each setting in which rows differ, with the condition that chooses one."""
    said = []
    for name, counts in settings.items():
        if len(counts) < 2:
            continue
        most = max(counts, key=lambda value: (counts[value], value))
        values = ", ".join(
            f"{value or _NULL.get(name, 'unknown')} ({count})" for value, count in counts.items()
        )
        said.append(
            f"the dataset mixes {len(counts)} {SETTINGS[name]}: {values}; "
            f"--where '{name}={most}' chooses one"
        )
    return said
