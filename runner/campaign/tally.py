"""Tally of the inputs of a file: outcomes, failures, warnings."""

from collections.abc import Iterable

import msgspec

from quantum_forge.runner.molecules.records import Input

KEPT = 1_000
"""Problems that are remembered one by one; a file of millions may be all bad."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An input without a result.

    number: of its line, record or frame, from 1. name: of the molecule, or what stood there.
    kind: `failed`, `lost` or `invalidated`. error_type: None for what physics refused.
    """

    number: int
    name: str
    kind: str
    error_type: str | None
    reason: str


class Caution(msgspec.Struct, kw_only=True):
    """Why something that was assumed of inputs may be wrong.

    inputs: how many it concerns. number: of the first one's line, record or frame, from 1.
    name: of its molecule, or what stood there.
    """

    text: str
    inputs: int
    number: int
    name: str


class Tally(msgspec.Struct):
    """Outcomes of the inputs; the counts add up to the number of inputs accounted for.

    before: completed in an earlier run, or by another process in this one. failed, lost,
    invalidated: in this run or, where no retry could help, in an earlier one. elsewhere: running in
    another process now. warnings: about inputs, whatever became of them.
    """

    completed: int = 0
    before: int = 0
    failed: int = 0
    lost: int = 0
    invalidated: int = 0
    duplicates: int = 0
    elsewhere: int = 0
    problems: list[Problem] = []
    warnings: list[Caution] = []

    @property
    def successful(self) -> int:
        """Calculations that have a result."""
        return self.completed + self.before

    @property
    def unsuccessful(self) -> int:
        """Calculations that have none."""
        return self.failed + self.lost + self.invalidated

    @property
    def inputs(self) -> int:
        """Every input accounted for so far."""
        return self.successful + self.unsuccessful + self.duplicates + self.elsewhere

    def add_warnings(self, source: Input, texts: Iterable[str]) -> None:
        """Count the warnings about an input's molecule."""
        for text in texts:
            for known in self.warnings:
                if known.text == text:
                    known.inputs += 1
                    break
            else:
                if len(self.warnings) < KEPT:
                    name = source.name or source.source
                    first = Caution(text=text, inputs=1, number=source.number, name=name)
                    self.warnings.append(first)

    def add_problem(
        self, source: Input, kind: str, reason: str, error_type: str | None = None
    ) -> None:
        """Count an input as failed, lost or invalidated."""
        match kind:
            case "failed":
                self.failed += 1
            case "lost":
                self.lost += 1
            case "invalidated":
                self.invalidated += 1
            case _:
                raise ValueError(kind)
        if len(self.problems) < KEPT:
            self.problems.append(
                Problem(
                    number=source.number,
                    name=source.name or source.source,
                    kind=kind,
                    error_type=error_type,
                    reason=reason,
                )
            )
