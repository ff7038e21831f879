"""`qforge events`: read the log, and append to it."""

from datetime import datetime
from functools import partial
from uuid import UUID

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.commands.events.append import append
from quantum_forge.cli.commands.events.export import export
from quantum_forge.cli.parse import ids
from quantum_forge.cli.parse.event_type import types_option
from quantum_forge.cli.parse.ids import ID, Beginning
from quantum_forge.cli.parse.options import json_option, limit_option, time_range_options
from quantum_forge.cli.session import open_forge, patience_of, tell_trouble
from quantum_forge.cli.show import console, event_table
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.log.place import Place, place_at
from quantum_forge.eventstore.log.read import Filter, read_all, safe_head
from quantum_forge.eventstore.log.subscribe import subscribe


@click.group(cls=Group)
def events() -> None:
    """Read the log, export it, or append to it.

    \b
    Example:
      qforge events list --since 1h
    """


events.add_command(append)
events.add_command(export)


@events.command("list")
@types_option()
@click.option("--entity", type=ID, help="Only events of this entity.")
@click.option("--user", type=ID, help="Only events of this user.")
@time_range_options()
@view_options()
@limit_option("the newest")
@click.option(
    "--follow", is_flag=True, help="Continue with new ones as they are recorded, until Ctrl-C."
)
@json_option("JSON Lines, with all fields")
def list_(
    types: tuple[str, ...],
    entity: UUID | Beginning | None,
    user: UUID | Beginning | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the newest events that match, in the order of the log.

    Ids may be abbreviated to their first digits, at least 4.

    \b
    Example:
      qforge events list --type calculation_failed --type calculation_lost --since 2h
      qforge events list --follow
      qforge events list --entity 01946f5e --json | jq .data
    """
    settings = load_settings()
    with open_forge(settings, follows=follow) as forge:

        def look() -> tuple[Filter, Place, list[RecordedEvent]]:
            with forge.connect() as connection:
                where = Filter(
                    types=types or None,
                    tenant_id=settings.tenant_id,
                    entity_id=ids.entity(connection, settings.tenant_id, entity),
                    user_id=ids.user(connection, settings.tenant_id, user),
                    since=since,
                    until=until,
                )
                head = safe_head(connection)
                newest = read_all(connection, upto=head, where=where, backward=True, limit=limit)
                end = place_at(connection, head) if follow else Place()
                return where, end, list(newest)[::-1]

        where, end, newest = patience_of(follow).persist(look)
        if as_json or follow:
            lines = event_table.lines()
            show = console.emit_json_line if as_json else partial(event_table.line, lines)
            if not as_json:
                lines.header()
            for event in newest:
                show(event)
            if follow:
                new = subscribe(
                    forge.engine,
                    after=end,
                    where=where,
                    patience=None,
                    on_trouble=tell_trouble,
                )
                for event in new:
                    show(event)
        else:
            event_table.table(newest)
