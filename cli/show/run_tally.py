"""Tally of a run: its counts as a table or JSON, with the first problems and warnings."""

from typing import TYPE_CHECKING
from uuid import UUID

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.runner.campaign.tally import Tally

if TYPE_CHECKING:  # RDKit, which the readers need, may not be installed
    from quantum_forge.runner.inputs.files import Count

PROBLEMS_SHOWN = 10
WARNINGS_SHOWN = 10


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


def print_tally(batch: str, tally: Tally, in_file: "Count") -> None:
    """Print the counts to stdout; warnings, and why inputs have no result, to stderr."""
    for caution in tally.warnings[:WARNINGS_SHOWN]:
        name = " ".join(caution.name.split())
        others = f" and {counted(caution.inputs - 1, 'other')}" if caution.inputs > 1 else ""
        console.note(f"input {caution.number} ({name}){others}: {caution.text} [warning]")
    if (more := len(tally.warnings) - WARNINGS_SHOWN) > 0:
        console.note(f"… and {counted(more, 'more warning')}: qforge calculations show ID")
    for problem in tally.problems[:PROBLEMS_SHOWN]:
        kind = f"{problem.kind}, {problem.error_type}" if problem.error_type else problem.kind
        name = " ".join(problem.name.split())
        console.note(f"input {problem.number} ({name}): {problem.reason} [{kind}]")
    if (more := tally.unsuccessful - PROBLEMS_SHOWN) > 0:
        console.note(f"… and {more} more: qforge calculations list --status failed")
    console.table(
        ["outcome", "inputs"],
        [(name.replace("_", " "), count) for name, count in counts(tally).items()],
        right=["inputs"],
        title=f"Batch {batch}",
    )
    console.note(
        f"Lines in the file: {in_file.lines:,}; records: {in_file.inputs:,}; lines without a "
        f"record (header, comments, blank lines): {in_file.skipped:,}"
    )
