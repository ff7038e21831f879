"""What the routes of an open application share."""

import msgspec
from starlette.requests import Request

from quantum_forge.web.accounts import Accounts
from quantum_forge.web.server import Server
from quantum_forge.web.streams.hub import Hub
from quantum_forge.web.usage import Usage


class Parts(msgspec.Struct, frozen=True):
    """The open database, the stream of events, the record of requests, and logins."""

    server: Server
    hub: Hub
    usage: Usage
    accounts: Accounts


def parts_of(request: Request) -> Parts:
    """Return the parts of the application that a request was sent to."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts
