"""Messages between a recorder and the store that it reaches by HTTPS: appends, questions, answers.

`POST /store/v1/append` takes appends, each of which is recorded whole or not at all, and answers
each by itself. `POST /store/v1/read` answers one question about the streams of the tenant.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.envelope import Placed, RecordedEvent
from quantum_forge.eventstore.base.errors import (
    AppendTooLarge,
    EventRefused,
    EventTooLarge,
    NotAllowed,
    OtherTenant,
    QuantumForgeError,
)
from quantum_forge.eventstore.database.availability.outage import REFUSALS

APPEND_PATH = "/store/v1/append"
READ_PATH = "/store/v1/read"

MOST_IDS = 1000
"""Entities that one question may be about."""

PAGE_CHARACTERS = 4 * 2**20
"""Characters of JSON after which an answer about one stream is cut; the rest is asked for."""

_REFUSALS: Final[Mapping[str, type[QuantumForgeError]]] = {
    kind.__name__: kind
    for kind in (*REFUSALS, EventTooLarge, AppendTooLarge, NotAllowed, OtherTenant)
}
REFUSED = tuple(_REFUSALS.values())
"""Errors that are the answer to one append; with any other error, nothing is known of any."""


class Appends(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `append` takes. Each append is the JSON of its events, as a spool keeps it."""

    appends: Sequence[msgspec.Raw]


class Refused(msgspec.Struct, frozen=True):
    """An error: the name of its class, its text, and its attributes as JSON."""

    kind: str
    message: str
    facts: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one append: where its events are, or why there is none."""

    placed: list[Placed] | None = None
    refused: Refused | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `read` takes.

    ask: the name of a method of `LogReader`, or `caller`; the rest are its arguments.
    """

    ask: str
    entity_type: str = ""
    entity_ids: Sequence[UUID] = ()
    after_version: int = 0
    upto_version: int | None = None
    backward: bool = False
    among: Sequence[str] = ()
    name: str = ""
    method: str = ""
    program_version: str = ""
    host: str = ""


class CallerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the answer to `caller`."""

    tenant_id: UUID
    user_id: UUID | None
    name: str
    role: str | None
    server_time: datetime


class Page(msgspec.Struct, frozen=True):
    """Events of one stream. more: whether there are further ones after the last."""

    events: list[RecordedEvent]
    more: bool = False


def refused(error: QuantumForgeError) -> Refused:
    """Return an error as the answer to an append."""
    facts = {name: _plain(value) for name, value in vars(error).items() if name[:1] != "_"}
    return Refused(kind=type(error).__name__, message=str(error), facts=facts)


def error_of(answer: Refused) -> QuantumForgeError:
    """Return the error of an answer, as a database of this machine would have raised it."""
    kind = _REFUSALS.get(answer.kind)
    if kind is None:
        return EventRefused("append", f"{answer.message} ({answer.kind})")
    # Its text was composed where it was raised.
    error = kind.__new__(kind, answer.message)
    for name, value in answer.facts.items():
        setattr(error, name, tuple(value) if isinstance(value, list) else value)
    return error


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bool) else _listed(value)


def _listed(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, tuple | list) else str(value)
