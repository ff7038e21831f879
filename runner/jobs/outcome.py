"""Outcomes of an import, by folder and in all."""

from collections import Counter
from uuid import UUID

import msgspec

IMPORTED, PRESENT, SKIPPED, FAILED = "imported", "present", "skipped", "failed"
"""Now in the log; there already; nothing to import; cannot be read."""

KEPT = 1_000
"""Failures, and folders without a result, that are remembered one by one; the report has all."""


class FolderOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """A folder, and what became of it.

    outcome: imported, present, skipped or failed. status: of the calculation that was imported
    (completed, failed, invalidated). file: the one at fault. reason: why there is no result.
    """

    path: str
    outcome: str
    status: str | None = None
    file: str | None = None
    reason: str | None = None
    calculation_id: UUID | None = None


class Imported(msgspec.Struct):
    """Outcome of an import; the four counts add up to the number of folders found.

    without_result: the first folders that were skipped, or whose result was invalidated.
    """

    imported: int = 0
    present: int = 0
    skipped: int = 0
    failed: int = 0
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    failures: list[FolderOutcome] = msgspec.field(default_factory=list)
    without_result: list[FolderOutcome] = msgspec.field(default_factory=list)

    @property
    def folders(self) -> int:
        """Every folder accounted for."""
        return self.imported + self.present + self.skipped + self.failed

    def add(self, outcome: FolderOutcome) -> None:
        """Count a folder."""
        has_none = outcome.outcome == SKIPPED or outcome.status == "invalidated"
        if has_none and outcome.outcome != PRESENT and len(self.without_result) < KEPT:
            self.without_result.append(outcome)
        match outcome.outcome:
            case "imported":
                self.imported += 1
                self.statuses[outcome.status or ""] += 1
            case "present":
                self.present += 1
            case "skipped":
                self.skipped += 1
            case "failed":
                self.failed += 1
                if len(self.failures) < KEPT:
                    self.failures.append(outcome)
            case other:
                raise ValueError(other)
