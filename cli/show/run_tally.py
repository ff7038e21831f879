"""Tally of a run: its counts as a table or JSON, with the first problems and warnings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.runner.campaign.tally import Problem, Tally

if TYPE_CHECKING:  # RDKit, which the readers need, may not be installed
    from quantum_forge.runner.campaign.dry_run import Preview
    from quantum_forge.runner.inputs.files import Count

PROBLEMS_SHOWN = 10
WARNINGS_SHOWN = 10
LONGEST_NAME = 80
"""Characters of a name in a line about an input."""


def counts(tally: Tally) -> dict[str, int]:
    """The number of inputs for each outcome, the most important outcome first."""
    return {
        "read": tally.inputs,
        "completed": tally.completed,
        "completed_before": tally.before,
        "failed": tally.failed,
        "lost": tally.lost,
        "invalidated": tally.invalidated,
        "duplicates": tally.duplicates,
        "running_elsewhere": tally.elsewhere,
    }


def lines_of(in_file: "Count") -> dict[str, int]:
    """The records and lines of the whole file, and its lines that belong to no record."""
    return {
        "records": in_file.inputs,
        "lines": in_file.lines,
        "skipped_lines": in_file.skipped,
    }


def as_json_object(batch: str, batch_id: UUID, tally: Tally, in_file: "Count") -> dict[str, object]:
    """What a program wants to know of a run."""
    return {
        "batch": batch,
        "batch_id": batch_id,
        **counts(tally),
        "file": lines_of(in_file),
        "problems": tally.problems,
        "warnings": tally.warnings,
    }


def print_tally(
    batch: str, tally: Tally, in_file: "Count", *, is_one_of_several: bool = False
) -> None:
    """Print the counts to stdout; warnings, and why inputs have no result, to stderr."""
    for caution in tally.warnings[:WARNINGS_SHOWN]:
        name = console.cut(" ".join(caution.name.split()), LONGEST_NAME)
        others = f" and {counted(caution.inputs - 1, 'other')}" if caution.inputs > 1 else ""
        console.note(f"input {caution.number} ({name}){others}: {caution.text} [warning]")
    if (more := len(tally.warnings) - WARNINGS_SHOWN) > 0:
        console.note(f"… and {counted(more, 'more warning')}: qforge calculations show ID")
    _note_problems(tally.problems)
    if (more := tally.unsuccessful - PROBLEMS_SHOWN) > 0:
        console.note(f"… and {more} more: qforge calculations list --status failed")
    console.table(
        ["outcome", "inputs"],
        [(name.replace("_", " "), count) for name, count in counts(tally).items()],
        right=["inputs"],
        title=f"Batch {batch}",
        is_one_of_several=is_one_of_several,
    )
    console.note(
        f"Lines in the file: {in_file.lines:,}; records: {in_file.inputs:,}; lines without a "
        f"record (header, comments, blank lines): {in_file.skipped:,}"
    )


def show_preview(
    batch: str,
    batch_id: UUID,
    found: "Preview",
    in_file: "Count",
    as_json: bool,
    *,
    is_one_of_several: bool = False,
) -> None:
    """Print what a run would do, to stdout; why inputs are left out, to stderr."""
    outcomes = {
        "read": found.inputs,
        "to_compute": found.to_compute,
        "completed_before": found.completed_before,
        "not_repeated": found.not_repeated,
        "unreadable": found.unreadable,
        "duplicates": found.duplicates,
        "running_elsewhere": found.running_elsewhere,
    }
    if as_json:
        console.emit_json(
            {
                "batch": batch,
                "batch_id": batch_id,
                "dry_run": True,
                **outcomes,
                "file": lines_of(in_file),
                "problems": found.problems,
            }
        )
        return
    _note_problems(found.problems)
    if (more := found.unreadable + found.not_repeated - PROBLEMS_SHOWN) > 0:
        console.note(f"… and {more} more; see them with --json")
    console.table(
        ["outcome", "inputs"],
        [(name.replace("_", " "), count) for name, count in outcomes.items()],
        right=["inputs"],
        title=f"Dry run of batch {batch}: nothing is recorded",
        is_one_of_several=is_one_of_several,
    )


def _note_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:PROBLEMS_SHOWN]:
        kind = f"{problem.kind}, {problem.error_type}" if problem.error_type else problem.kind
        name = console.cut(" ".join(problem.name.split()), LONGEST_NAME)
        console.note(f"input {problem.number} ({name}): {problem.reason} [{kind}]")
