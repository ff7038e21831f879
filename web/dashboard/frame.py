"""The frame of a page: who reads it, in which colours, and the token of its forms."""

from uuid import UUID

import msgspec
from sqlalchemy import select
from starlette.requests import Request

from quantum_forge.schema.domains.users import Theme, user_preferences, users
from quantum_forge.web.auth.callers import Caller
from quantum_forge.web.auth.cookies import csrf_of, session_token
from quantum_forge.web.auth.remembered import Remembered
from quantum_forge.web.dashboard.rendering import Reader
from quantum_forge.web.server import Server


class Frame(msgspec.Struct, frozen=True):
    """What surrounds the panels of a page. csrf: None without a cookie."""

    reader: Reader
    csrf: str | None


class Frames:
    """Names and colours of readers, which are remembered for some seconds; threads may share it."""

    def __init__(self) -> None:
        self._readers: Remembered[tuple[UUID | None, UUID | None], Reader] = Remembered()

    def of(self, server: Server, caller: Caller, request: Request) -> Frame:
        """Return the frame for a caller; executes one statement at most."""
        token = session_token(request)
        reader = self._readers.get(
            (caller.tenant_id, caller.user_id), lambda: _read(server, caller, request)
        )
        return Frame(reader, None if token is None else csrf_of(token))

    def forget(self, caller: Caller) -> None:
        """Read name and colours of a caller again, who has just changed them."""
        self._readers.forget((caller.tenant_id, caller.user_id))


def frames_of(request: Request) -> Frames:
    """Return the frames of the application that a request was sent to."""
    frames = request.app.state.frames
    assert isinstance(frames, Frames)
    return frames


def _read(server: Server, caller: Caller, request: Request) -> Reader:
    unnamed = "you, without an account" if caller.is_operator else caller.name
    if caller.user_id is None:
        return Reader(unnamed)
    found = (
        select(users.c.username, user_preferences.c.theme)
        .join_from(
            users,
            user_preferences,
            (user_preferences.c.tenant_id == users.c.tenant_id)
            & (user_preferences.c.user_id == users.c.id),
            isouter=True,
        )
        .where(users.c.tenant_id == caller.tenant_id, users.c.id == caller.user_id)
    )
    with server.reading(caller, request) as connection:
        row = connection.execute(found).one_or_none()
    if row is None:
        return Reader(unnamed)
    return Reader(row.username, row.theme or Theme.AUTO)
