"""`qforge import`: years of results into the log."""

import click

from cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "jobs": Lazy("cli.import_jobs:jobs", "Import folders of finished jobs."),
}


@click.group("import", cls=LazyGroup, table=COMMANDS)
def import_() -> None:
    """Import results and events from files.

    \b
    Example:
      qforge import jobs jobs/ --dry-run
    """
