"""`qforge doctor`: what is wrong, and what to do about it."""

import sys

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option
from quantum_forge.cli.show import console
from quantum_forge.eventstore.doctor.checks import Finding, Level
from quantum_forge.eventstore.doctor.examination import examine, is_well
from quantum_forge.projections.operate.checks import CHECKS

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command(cls=Command)
@json_option("one JSON array of all findings")
@click.option(
    "--thorough", is_flag=True, help="Compare every stream with its head; slow for a long log."
)
def doctor(as_json: bool, thorough: bool) -> None:
    """Check settings, server, schema and log, and print remedies.

    Changes nothing. Exits with 1 when there is a problem, with 0 when there are only warnings.

    \b
    Example:
      qforge doctor
      qforge doctor --json | jq '.[] | select(.level != "ok")'
    """
    findings = []
    if not as_json and not console.is_terminal():
        console.row(("level", "check", "found", "remedy", "commands"))
    for finding in examine(more=CHECKS, thorough=thorough):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        console.emit_json(findings)
    sys.exit(0 if is_well(findings) else 1)


def _show(finding: Finding) -> None:
    """One line per finding, and below it what to do."""
    if not console.is_terminal():
        console.row(
            (
                finding.level,
                finding.check,
                finding.found,
                finding.remedy,
                "; ".join(finding.commands),
            )
        )
        return
    label = click.style(f"{finding.level:8}", fg=COLOURS[finding.level], bold=True)
    console.emit(f" {finding.check}: {finding.found}", label=label)
    if finding.remedy:
        console.emit(f"         → {finding.remedy}")
    for command in finding.commands:
        console.emit(f"           {command}")
