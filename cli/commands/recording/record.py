"""`qforge record`: one event, by hand or from a script."""

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse import ids
from quantum_forge.cli.parse.ids import ID, Beginning
from quantum_forge.cli.parse.options import json_option, store_option
from quantum_forge.cli.served import Served, opened
from quantum_forge.cli.session import open_forge, require_to_act_for
from quantum_forge.cli.show import console
from quantum_forge.eventstore.actions.by_name import Recorded, record_by_name
from quantum_forge.eventstore.base.codec import decode, malformed
from quantum_forge.eventstore.base.errors import EventRefused, InvalidSetting
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.database.settings import Settings, load_settings
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.runner.engines.preferences import refuse_unusable
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.language.describe import FieldDescription, fields_of, summary_of


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An event type as `--list --json` prints it."""

    event_type: str
    entity_type: str
    summary: str
    fields: list[FieldDescription]


@click.command(cls=Command)
@click.argument("event", required=False)
@click.option(
    "--data",
    default="{}",
    help="Fields of the event: a JSON object, @FILE, or - for stdin.",
    metavar="JSON",
)
@click.option("--entity-id", type=ID, help="Id of the entity; not for an event that begins one.")
@click.option("--user-id", type=ID, help="The user who caused it. [default: you]")
@click.option(
    "--expect",
    type=click.IntRange(min=-1),
    help="Only if the entity's stream is at this version; 0: it must be new, -1: it must exist.",
)
@click.option("--list", "listing", is_flag=True, help="List event types, or the fields of EVENT.")
@store_option()
@json_option()
def record(
    event: str | None,
    data: str,
    entity_id: UUID | Beginning | None,
    user_id: UUID | Beginning | None,
    expect: int | None,
    listing: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Record EVENT, if the rules of its entity allow it.

    Prints its position in the log and the id of its entity, which is new if the event begins an
    entity. Ids may be abbreviated to their first digits, at least 4.

    \b
    Example:
      qforge record --list
      qforge record --list device_registered
      qforge record project_created --data '{"name": "Malaria"}'
      qforge record project_updated --entity-id 0199a7c4 --data @changes.json
      qforge record project_created --data '{"name": "Dengue"}' --store https://forge.example
    """
    if event is not None and event not in EVENTS:
        hint = suggestion(event, EVENTS, otherwise="qforge record --list shows them")
        raise click.UsageError(f"no event type {event!r}; {hint}")
    if listing:
        _list([event] if event else sorted(EVENTS), event is not None, as_json)
        return
    if event is None:
        raise click.UsageError("give an EVENT; qforge record --list shows them")
    document = _read(data)
    settings = load_settings()
    with opened(settings, store) as served:
        recorded = (
            _record(settings, event, document, entity_id, user_id, expect)
            if served is None
            else _record_at(served, event, document, entity_id, user_id, expect)
        )
    if as_json:
        console.emit_json(recorded)
    else:
        console.table(
            ("position", "entity_type", "entity_id", "version"),
            [(recorded.position, recorded.entity_type, recorded.entity_id, recorded.version)],
            right=["position", "version"],
            whole=["entity_id"],
        )


def _record(
    settings: Settings,
    event: str,
    document: bytes,
    entity_id: UUID | Beginning | None,
    user_id: UUID | Beginning | None,
    expect: int | None,
) -> Recorded:
    """Record in the database."""
    with open_forge(settings, writes=True) as forge:
        with forge.connect() as connection:
            entity = ids.entity(connection, settings.tenant_id, entity_id)
            user = ids.user(connection, settings.tenant_id, user_id)
        require_to_act_for(forge, user)
        author = Author(tenant_id=settings.tenant_id, user_id=user or forge.author.user_id)
        with Recorder(forge.engine, author) as recorder:
            return record_by_name(
                recorder,
                event,
                document,
                entity_id=entity,
                expected_version=expect,
                check=refuse_unusable,
            )


def _record_at(
    served: Served,
    event: str,
    document: bytes,
    entity_id: UUID | Beginning | None,
    user_id: UUID | Beginning | None,
    expect: int | None,
) -> Recorded:
    """Record at a served store, which checks everything."""
    if user_id is not None:
        raise click.UsageError("--user-id is not for a served store: its key says who records")
    if isinstance(entity_id, str):
        raise click.UsageError("a served store takes whole ids: give all of --entity-id")
    try:
        data = msgspec.json.decode(document, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise EventRefused(event, str(error)) from error
    refuse_unusable(decode(event, document))
    answer = served.client.rpc(
        "record", event_type=event, data=data, entity_id=entity_id, expected_version=expect
    )
    return msgspec.convert(answer, Recorded)


def _read(data: str) -> bytes:
    """The JSON that --data gives, which need not fit the event."""
    if data == "-":
        document = sys.stdin.buffer.read()
    elif not data.startswith("@"):
        document = data.encode()
    else:
        try:
            document = Path(data[1:]).read_bytes()
        except OSError as error:
            raise InvalidSetting("--data", f"{data}: {error.strerror}") from error
    try:
        msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = malformed(error, document) or str(error)
        # A shell removes double quotes that are not in single ones.
        quoted = 'a JSON object in single quotes, as --data \'{"name": "Malaria"}\''
        raise InvalidSetting("--data", f"is {found}; give {quoted}, or a file: @FILE") from error
    return document


def _list(names: list[str], in_full: bool, as_json: bool) -> None:
    known = [
        Known(
            event_type=name,
            entity_type=EVENTS[name].entity_type,
            summary=summary_of(EVENTS[name]),
            fields=fields_of(EVENTS[name]),
        )
        for name in names
    ]
    if as_json:
        console.emit_json(known)
    elif in_full:
        console.table(
            ("field", "holds", "required"),
            [(field.name, field.holds, field.required) for field in known[0].fields],
        )
        console.note(known[0].summary)
    else:
        console.table(
            ("event", "happens to", "fields"),
            [(one.event_type, one.entity_type, _names(one.fields)) for one in known],
            whole=["event"],
        )
        console.note("Fields in brackets may be left out. One in full: qforge record --list EVENT")


def _names(fields: list[FieldDescription]) -> str:
    return ", ".join(field.name if field.required else f"[{field.name}]" for field in fields)
