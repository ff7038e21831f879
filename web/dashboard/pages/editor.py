"""Molecule editor: a SMILES or XYZ, drawn, submitted; its state survives a closed browser."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.recording import RdkitMissing
from quantum_forge.schema.domains.access import user_sessions
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.dashboard.panels import Acting, Action, Asked, Done, Page, Panel
from quantum_forge.web.rest.errors import RestError

PATH = "/editor"

LONGEST = 100_000
"""Characters of the state of an editor."""

METHODS = ("GFN2-xTB", "GFN1-xTB", "IPEA1-xTB")


class EditorQuery(msgspec.Struct, frozen=True):
    """The parameters of the page. smiles: to begin with, instead of the state that was saved."""

    smiles: str | None = None


class Content(msgspec.Struct, frozen=True):
    """State of the editor. selection: begin and end, in characters. scroll: in pixels."""

    structure: str = ""
    name: str = ""
    method: str = METHODS[0]
    solvent: str = ""
    charge: str = ""
    multiplicity: str = ""
    selection: tuple[int, int] = (0, 0)
    scroll: int = 0


class Saved(msgspec.Struct, frozen=True):
    """What the page begins with. saved_at: when that was saved; None: it was not."""

    content: Content
    saved_at: Any
    methods: tuple[str, ...] = METHODS


def _state(asked: Asked) -> Saved:
    """Return the state that the user saved last, in whichever session."""
    query: EditorQuery = asked.query
    s = user_sessions.c
    statement = (
        select(s.editor_content, s.last_activity)
        .where(
            s.tenant_id == asked.tenant_id,
            s.user_id == asked.caller.user_id,
            s.editor_content.is_not(None),
        )
        .order_by(s.last_activity.desc())
        .limit(1)
    )
    row = asked.connection.execute(statement).one_or_none()
    if query.smiles is not None:
        return Saved(Content(structure=query.smiles), None)
    if row is None:
        return Saved(Content(), None)
    try:
        content = msgspec.convert(row.editor_content, Content)
    except msgspec.ValidationError:
        content = Content()  # of another program that saves states, too
    return Saved(content, row.last_activity)


def _save(acting: Acting) -> Done:
    """Save what the editor shows, in the session of the caller."""
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    written = acting.form.get("content", "")
    if len(written) > LONGEST:
        raise RestError(413, "54000", f"the editor keeps at most {LONGEST:,} characters")
    try:
        content = msgspec.json.decode(written, type=Content)
    except msgspec.MsgspecError as error:
        raise RestError(
            400, "22023", "the state of the editor is wrong", details=str(error)
        ) from None
    Sessions(recorder).save_state(
        _session(acting, recorder),
        current_view=PATH,
        editor_content=msgspec.to_builtins(content),
    )
    return Done()


def _session(acting: Acting, recorder: Recorder) -> UUID:
    """Return the session in which the caller's state is kept.

    Who came by the link of this machine has none in the log: the user's latest is taken, or begun.
    """
    caller = acting.caller
    if (known := caller.claims.get("session_id")) is not None:
        return UUID(str(known))
    if caller.user_id is None:
        raise RestError(
            400,
            "22023",
            "you act without an account, so nothing is kept: qforge users register makes one",
        )
    s = user_sessions.c
    latest = (
        select(s.id)
        .where(s.tenant_id == caller.tenant_id, s.user_id == caller.user_id)
        .order_by(s.last_activity.desc())
        .limit(1)
    )
    with acting.server.reading(caller, acting.request) as connection:
        found: UUID | None = connection.scalar(latest)
    return found or Sessions(recorder).open(caller.user_id).id


def _submit(acting: Acting) -> Done:
    """Record a calculation that is asked for; go to its page."""
    try:
        from quantum_forge.runner.campaign.plan import Plan
        from quantum_forge.runner.campaign.submission import read_structure, submit
        from quantum_forge.runner.engines.methods import method_named, require_known
        from quantum_forge.runner.engines.solvents import is_gas, solvent_named
    except ModuleNotFoundError as error:
        raise RdkitMissing from error

    form = acting.form
    recorder = acting.server.recorder_for(acting.caller, acting.request)
    source = read_structure(form.get("structure", ""), name=form.get("name", "").strip() or None)
    solvent = form.get("solvent", "").strip()
    plan = Plan(
        batch="editor",
        method=method_named(form.get("method") or METHODS[0]),
        solvent=None if not solvent or is_gas(solvent) else solvent_named(solvent),
        charge=_number(form.get("charge", ""), "charge"),
        multiplicity=_number(form.get("multiplicity", ""), "multiplicity"),
    )
    require_known(plan.method, plan.solvent)
    done = submit(recorder, source, plan)
    notice = (
        "Recorded: it waits for a runner (qforge retry --follow)."
        if done.is_new
        else "It was asked for before."
    )
    return Done(notice=notice, location=f"/calculations/{done.calculation_id}")


def _number(written: str, name: str) -> int | None:
    if not written.strip():
        return None
    try:
        return int(written)
    except ValueError:
        raise RestError(400, "22P02", f"{name} {written!r} is not a whole number") from None


EDITOR = Page(
    path=PATH,
    title="Editor",
    query=EditorQuery,
    template="editor/page.html",
    panels=(Panel(name="editor", title="Molecule", read=_state, template="editor/form.html"),),
    actions={
        "save": Action(act=_save),
        "submit": Action(act=_submit, needs=Role.RESEARCHER),
    },
)
