"""`qforge import`: years of results into the log."""

import click

from quantum_forge.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "jobs": Lazy(
        "quantum_forge.cli.commands.imports.jobs:jobs",
        "Import the finished jobs in and below DIR, as events with their original times.",
    ),
    "events": Lazy(
        "quantum_forge.cli.commands.imports.events:events",
        "Import exported events, with their ids and times.",
    ),
}


@click.group("import", cls=LazyGroup, table=COMMANDS)
def import_() -> None:
    """Import results and events from files.

    \b
    Example:
      qforge import jobs jobs/ --dry-run
      qforge import events old-log.parquet
    """
