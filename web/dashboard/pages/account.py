"""Account: preferences, API keys, sessions and password of whoever has signed in."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from quantum_forge.eventstore.actions.accounts.api_keys import ApiKeys
from quantum_forge.eventstore.actions.accounts.sessions import Sessions
from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.access import user_api_keys, user_sessions
from quantum_forge.schema.domains.users import DisplayUnits, Theme, user_preferences, users
from quantum_forge.web.auth.callers import READ, WRITE
from quantum_forge.web.dashboard.panels import Acting, Action, Asked, Done, Page, Panel
from quantum_forge.web.dashboard.sign_in import LOGIN
from quantum_forge.web.passwords import change_password
from quantum_forge.web.rest.errors import RestError

_CHECKED = ("enable_email_notifications", "notification_on_completion", "notification_on_error")
_WRITTEN = ("default_method", "default_optimization_level", "default_solvation", "language")


class IssuedForPage(msgspec.Struct, frozen=True):
    """A key that is shown this once."""

    name: str
    key: str


def _own(asked: Asked, table: Any) -> Any:
    """The columns of one's own rows."""
    c = table.c
    shown = [column for column in c if not column.name.endswith("_hash")]
    return select(*shown).where(c.tenant_id == asked.tenant_id, c.user_id == asked.caller.user_id)


def _preferences(asked: Asked) -> Any:
    """Who it is, with the preferences, which are null where they were never changed."""
    known, wanted = users.c, user_preferences.c
    columns = [column for column in wanted if column.name not in known]
    query = (
        select(known.username, known.email, known.full_name, known.role, known.two_factor_enabled)
        .add_columns(*columns)
        .join_from(
            users,
            user_preferences,
            (wanted.tenant_id == known.tenant_id) & (wanted.user_id == known.id),
            isouter=True,
        )
        .where(known.tenant_id == asked.tenant_id, known.id == asked.caller.user_id)
    )
    return asked.connection.execute(query).one_or_none()


def _username(asked: Asked) -> str | None:
    """The name under which a browser keeps the password."""
    c = users.c
    name: str | None = asked.connection.scalar(
        select(c.username).where(c.tenant_id == asked.tenant_id, c.id == asked.caller.user_id)
    )
    return name


def _keys(asked: Asked) -> list[Any]:
    query = _own(asked, user_api_keys)
    order = (user_api_keys.c.revoked_at.is_not(None), user_api_keys.c.created_at.desc())
    return list(asked.connection.execute(query.order_by(*order)))


def _sessions(asked: Asked) -> list[Any]:
    query = _own(asked, user_sessions).order_by(user_sessions.c.last_activity.desc())
    return [
        {**row, "is_this": str(row["id"]) == asked.caller.claims.get("session_id")}
        for row in asked.connection.execute(query).mappings()
    ]


def _user(acting: Acting) -> tuple[Recorder, UUID]:
    """The recorder and the id of whoever presses a button.

    Raises:
        RestError: 400 for somebody without an account, 403 for a key with scopes.
    """
    if acting.caller.user_id is None:
        raise RestError(400, "22023", "you act without an account: qforge users register makes one")
    if acting.caller.scopes is not None:
        raise RestError(403, "42501", "an API key with scopes changes no account: sign in")
    return acting.server.recorder_for(acting.caller, acting.request), acting.caller.user_id


def _issue_key(acting: Acting) -> Done:
    recorder, user_id = _user(acting)
    form = acting.form
    name = form.get("name", "").strip()
    if not name:
        raise RestError(400, "22023", "give the key a name: what it is for")
    days = _number(form, "days")
    issued = ApiKeys(recorder).issue(
        user_id,
        name=name,
        scopes=[scope for scope in (READ, WRITE) if form.get(f"scope_{scope}")],
        rate_limit=_number(form, "rate_limit"),
        usage_quota=_number(form, "usage_quota"),
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
    )
    return Done(template="account/key.html", data=IssuedForPage(name, issued.key.reveal()))


def _revoke_key(acting: Acting) -> Done:
    recorder, _ = _user(acting)
    ApiKeys(recorder).revoke(_id(acting.form, "key_id"), reason="revoked in the dashboard")
    return Done(notice="The key is revoked: it opens nothing any more, after some seconds.")


def _end_session(acting: Acting) -> Done:
    recorder, _ = _user(acting)
    session_id = _id(acting.form, "session_id")
    Sessions(recorder).close(session_id)
    acting.server.callers.forget_session(recorder.tenant_id, session_id)
    return Done(notice="The session has ended.")


def _end_others(acting: Acting) -> Done:
    recorder, user_id = _user(acting)
    own = acting.caller.claims.get("session_id")
    closed = Sessions(recorder).close_all(user_id, but=None if own is None else UUID(str(own)))
    for each in closed:
        acting.server.callers.forget_session(recorder.tenant_id, each)
    return Done(notice=f"Sessions ended: {len(closed)}.")


def _change_preferences(acting: Acting) -> Done:
    recorder, user_id = _user(acting)
    form = acting.form
    wanted: dict[str, Any] = {name: form.get(name, "").strip() or None for name in _WRITTEN}
    wanted |= {name: bool(form.get(name)) for name in _CHECKED}
    wanted["theme"] = _one_of(form, "theme", Theme)
    wanted["display_units"] = _one_of(form, "display_units", DisplayUnits)
    wanted["display_precision"] = _number(form, "display_precision")
    Users(recorder).change_preferences(user_id, **wanted)
    return Done(notice="Your preferences are stored. Pages follow after some seconds.")


def _change_password(acting: Acting) -> Done:
    recorder, user_id = _user(acting)
    new = acting.form.get("new", "")
    if new != acting.form.get("again", ""):
        raise RestError(400, "22023", "the new password was typed in two ways")
    change_password(
        recorder, user_id, current=Secret(acting.form.get("current", "")), new=Secret(new)
    )
    acting.server.callers.forget(acting.caller)
    return Done(
        location=LOGIN, notice="Your password is changed; your sessions and API keys have ended."
    )


def _number(form: Mapping[str, str], name: str) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RestError(400, "22P02", f"{name} is no whole number: {text!r}")
    return int(text)


def _one_of(form: Mapping[str, str], name: str, kind: Callable[[str], Any]) -> Any:
    text = form.get(name, "")
    try:
        return kind(text) if text else None
    except ValueError:
        raise RestError(400, "22P02", f"{name} cannot be {text!r}") from None


def _id(form: Mapping[str, str], name: str) -> UUID:
    try:
        return UUID(form.get(name, ""))
    except ValueError:
        raise RestError(400, "22P02", f"{name} is no id") from None


def _panel(name: str, title: str, read: Callable[[Asked], Any], *live: str) -> Panel:
    return Panel(
        name=name,
        title=title,
        read=read,
        template=f"account/{name}.html",
        live=live,
        reads_log=True,  # keys and sessions are of the log
    )


ACCOUNT = Page(
    path="/account",
    title="Account",
    panels=(
        _panel("preferences", "You and your preferences", _preferences),
        _panel("keys", "API keys", _keys, "api_key_issued", "api_key_revoked"),
        _panel("sessions", "Sessions", _sessions, "session_opened", "session_closed"),
        _panel("password", "Password", _username),
    ),
    actions={
        "issue_key": Action(act=_issue_key),
        "revoke_key": Action(act=_revoke_key),
        "end_session": Action(act=_end_session),
        "end_others": Action(act=_end_others),
        "change_preferences": Action(act=_change_preferences),
        "change_password": Action(act=_change_password),
    },
)
