"""`qforge search`: one search over names, descriptions, messages, logs, ids and structures."""

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.projections.queries.search import READ

SHOWN = (
    Shown("kind"),
    Shown("id"),
    Shown("title", long=True),
    Shown("detail", long=True),
    Shown("created_at", label="created", rank=1),
)


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True)
@limit_option("the first findings of each kind", 10)
@json_option()
def search(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find whatever has some WORDS in a name, description, message or log.

    Every word must be in one text, or begin a word of it. Molecules, calculations, batches,
    projects, failures, logs, errors of services, apps, listings, organizations and, for admins,
    exported data sets are searched. A SMILES, an InChIKey, a formula, an id, or at least 4 digits
    of one, finds what it identifies. Exit status 1: nothing was found.

    \b
    Example:
      qforge search caffeine
      qforge search SCF not converged
      qforge search 'CC(=O)Oc1ccccc1C(=O)O' --json
    """
    with open_forge(load_settings(), reads=READ) as forge:
        found = forge.search(" ".join(words), limit=limit)
    if as_json:
        console.emit_json(found)
    else:
        rows = [
            {"kind": group.kind, **msgspec.structs.asdict(finding)}
            for group in found.groups
            for finding in group.findings
        ]
        columns.table(SHOWN, rows)
    if cut := [group.kind for group in found.groups if group.has_more]:
        console.note(f"There are more {', '.join(cut)}: raise --limit")
    if not found.groups:
        console.note(f"Nothing found: {found.hint}")
        raise SystemExit(1)
