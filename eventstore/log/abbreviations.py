"""Ids by their first digits: which ids of the log begin so."""

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, literal, select, true

from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.schema.tables import event_logs

FULL_LENGTH = 32
"""Hexadecimal digits of a whole id."""

SHORTEST_PREFIX = 4
"""Hexadecimal digits of an id that are enough to look for it."""

CANDIDATES = 10
"""Ids that an error about an ambiguous beginning lists at most."""


class UnknownId(QuantumForgeError):
    """No id in the tenant's part of the log begins so."""

    exit_status = 2

    def __init__(self, kind: str, digits: str) -> None:
        self.kind = kind
        self.digits = digits
        super().__init__(
            f"no {kind} has an id that begins with {digits!r}; to list ids: qforge events list "
            "--json"
        )


class AmbiguousId(QuantumForgeError):
    """Several ids begin so; `candidates` are the first of them."""

    exit_status = 2

    def __init__(self, kind: str, digits: str, candidates: Sequence[str]) -> None:
        self.kind = kind
        self.digits = digits
        self.candidates = candidates
        shown = ", ".join(candidates[:CANDIDATES])
        more = ", …" if len(candidates) > CANDIDATES else ""
        super().__init__(
            f"{digits!r} begins the id of more than one {kind}: {shown}{more}; give more digits"
        )


def id_digits(text: str) -> str | None:
    """The digits of an id or of its beginning, if the text is one, in lower case.

    A beginning is taken in lower case only: CCCC is butane.
    """
    whole = len(text) == len(str(UUID(int=0)))
    digits = (text.lower() if whole else text).replace("-", "")
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},32}}", digits) or text.startswith("-"):
        return None
    return digits


def id_range(digits: str) -> tuple[UUID, UUID]:
    """The first and the last id that begin with these digits."""
    return UUID(digits.ljust(FULL_LENGTH, "0")), UUID(digits.ljust(FULL_LENGTH, "f"))


def find_entity(
    connection: Connection, tenant_id: UUID, digits: str, entity_type: str | None = None
) -> UUID:
    """The one entity of the tenant, of a type or of any, whose id begins with these digits.

    Raises:
        UnknownId, AmbiguousId
    """
    condition = None if entity_type is None else event_logs.c.entity_type == entity_type
    found = _beginning(connection, tenant_id, event_logs.c.entity_id, digits, condition)
    described = {id_: f"{id_} ({its_type})" for id_, its_type in found}
    return _only(entity_type or "entity", digits, described)


def find_user(connection: Connection, tenant_id: UUID, digits: str) -> UUID:
    """The one user of the tenant whose id begins with these digits: registered, or who recorded.

    Raises:
        UnknownId, AmbiguousId
    """
    acted = _beginning(connection, tenant_id, event_logs.c.user_id, digits)
    is_user = event_logs.c.entity_type == "user"
    registered = _beginning(connection, tenant_id, event_logs.c.entity_id, digits, is_user)
    return _only("user", digits, {id_: str(id_) for id_, _ in sorted([*acted, *registered])})


def _beginning(
    connection: Connection,
    tenant_id: UUID,
    column: ColumnElement[UUID],
    digits: str,
    condition: ColumnElement[bool] | None = None,
) -> list[tuple[UUID, str]]:
    """The ids of a column that begin so, in order, with the entity type of one of their events.

    Each is looked up in the index above the one before, however many events it has.
    """
    first, last = id_range(digits)
    events = (
        select(column.label("id"), event_logs.c.entity_type, literal(1).label("n"))
        .where(event_logs.c.tenant_id == tenant_id, column <= last)
        .where(true() if condition is None else condition)
        .order_by(column)
        .limit(1)
    )
    found = events.where(column >= first).subquery().select().cte("found", recursive=True)
    above = events.where(column > found.c.id).lateral("above")
    found = found.union_all(
        select(above.c.id, above.c.entity_type, found.c.n + 1)
        .select_from(found.join(above, true()))
        .where(found.c.n <= CANDIDATES)
    )
    rows = connection.execute(select(found.c.id, found.c.entity_type).order_by(found.c.id))
    return [(row.id, row.entity_type) for row in rows]


def _only(kind: str, digits: str, found: dict[UUID, str]) -> UUID:
    if not found:
        raise UnknownId(kind, digits)
    if len(found) > 1:
        raise AmbiguousId(kind, digits, list(found.values()))
    return next(iter(found))
