"""`qforge audit`: who did what when, and what was it before."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

import click
import msgspec
from msgspec.structs import replace

from quantum_forge.cli.command import Command
from quantum_forge.cli.parse import ids
from quantum_forge.cli.parse.ids import ID, Beginning
from quantum_forge.cli.parse.named import named_user
from quantum_forge.cli.parse.options import limit_option, time_range_options
from quantum_forge.cli.permissions import LEAST_ROLE
from quantum_forge.cli.session import open_forge, patience_of, refuse_standby, tell_trouble
from quantum_forge.cli.show import audit_entries
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.actions.accounts.authorization import require_role
from quantum_forge.eventstore.base.envelope import RecordedEvent
from quantum_forge.eventstore.base.ids import uuid7
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.log.place import Place, place_at
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.log.subscribe import subscribe
from quantum_forge.forge import Forge
from quantum_forge.projections.queries import audit_trail
from quantum_forge.projections.queries.audit_trail import Entry, Question
from quantum_forge.schema.domains.audit import AuditStatus, DataExported
from quantum_forge.schema.domains.users import Role

_REFUSABLE = [
    *(name.replace(" ", "_").replace("-", "_") for name in LEAST_ROLE),
    *("audit_read", "api_key_use", "session_resume", "login"),
]
"""Actions of refusals: commands, and what keys and sessions are used for."""


@click.command(cls=Command)
@click.option("--user", help="Only events of this user: id, user name or email address.")
@click.option("--entity", type=ID, help="Only events of this entity.")
@click.option(
    "--action",
    "actions",
    metavar="ACTION",
    multiple=True,
    help="Only this action (login, data_export, …) or event type; may be repeated.",
)
@click.option(
    "--status",
    type=click.Choice([s.value for s in AuditStatus]),
    help="Only actions with this outcome.",
)
@time_range_options()
@click.option("--reads", is_flag=True, help="Also HTTP requests that only read (GET, HEAD).")
@view_options()
@limit_option("the newest")
@click.option(
    "--follow", is_flag=True, help="Continue with new ones as they are recorded, until Ctrl-C."
)
@click.option("--csv", "form", flag_value="csv", help="Print CSV; this is recorded as an export.")
@click.option(
    "--json", "form", flag_value="json", help="Print JSON Lines; this is recorded as an export."
)
def audit(
    user: str | None,
    entity: UUID | Beginning | None,
    actions: tuple[str, ...],
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    reads: bool,
    limit: int,
    follow: bool,
    form: str | None,
) -> None:
    """Print the audit trail: who did what and when, with the values before.

    Entries are read from the log, in its order. `changes` compares each event with the earlier
    events of its entity. HTTP requests that only read are left out unless --reads or an --action
    asks for them. Where the tenant has users, only its admins may see what other users did;
    any other attempt is recorded.

    \b
    Example:
      qforge audit --user ada --action data_export --since 2026-10-01 --until 2026-11-01
      qforge audit --entity 7d44a1f0 --json
      qforge audit --status denied --since 7d --follow
    """
    settings = load_settings()
    tables = ["users", "organization_members"]
    with open_forge(settings, follows=follow, reads=tables) as forge:
        author = replace(forge.author, more={"service": "audit"})
        if form is not None:
            refuse_standby(forge, "an export, which is recorded in the log,", follows=follow)

        def look() -> tuple[Question, int, Place, list[Entry]]:
            with forge.connect() as connection:
                user_id = named_user(connection, settings.tenant_id, user)
                entity_id = ids.entity(connection, settings.tenant_id, entity)
            own = user_id is not None and user_id == forge.author.user_id
            # An auditor of the database, who stands for no user, reads the log anyway.
            if not own and not (forge.person.user_id is None and forge.person.audits):
                require_role(
                    forge.engine,
                    author,
                    forge.person,
                    "audit_read",
                    Role.ADMIN,
                    target_type="user" if user_id else None,
                    target_id=user_id,
                )
            question = Question(
                tenant_id=settings.tenant_id,
                user_id=user_id,
                entity_id=entity_id,
                actions=list(actions) or None,
                status=None if status is None else AuditStatus(status),
                since=since,
                until=until,
                reads=reads,
            )
            with forge.connect() as connection:
                audit_trail.require_known(connection, settings.tenant_id, actions, _REFUSABLE)
                head = safe_head(connection)
                found = list(audit_trail.answer(connection, question, upto=head, limit=limit))[::-1]
                end = place_at(connection, head) if follow else Place()
                return question, head, end, found

        question, head, end, found = patience_of(follow).persist(look)
        if form is None and not follow:
            audit_entries.table(found)
            return

        def record(rows: int, position: int, destination: str) -> None:
            if form is None:
                return
            exported = DataExported(
                what="audit trail",
                format=form,
                row_count=rows,
                position=position,
                destination=destination,
                parameters=msgspec.to_builtins(question),
            )
            with forge.engine.begin() as connection:
                append(connection, [author.new(uuid7(), exported)])

        # Before a line of it: who has had enough of the output has had some of it.
        record(len(found), head, "stdout")
        show = audit_entries.printer(form)
        for entry in found:
            show(entry)
        if follow:
            shown, position = 0, int(head)
            try:
                for entry in _following(forge, question, end):
                    # First, for Ctrl-C may come when it is out.
                    shown, position = shown + 1, entry.position
                    show(entry)
            finally:
                # Ctrl-C and a closed pipe are how following ends.
                if shown:
                    record(shown, position, "stdout, following")


def _following(forge: Forge, question: Question, after: Place) -> Iterator[Entry]:
    where = audit_trail.where_of(question)
    new = subscribe(forge.engine, after=after, where=where, patience=None, on_trouble=tell_trouble)
    patience = patience_of(True)

    def entries(event: RecordedEvent) -> list[Entry]:
        with forge.connect() as connection:
            return list(audit_trail.entries(connection, [event]))

    for event in new:
        if audit_trail.matches(event, question):
            yield from patience.persist(partial(entries, event))
