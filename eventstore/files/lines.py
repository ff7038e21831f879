"""Events as lines of JSON: what a program or a person writes to be appended."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any
from uuid import UUID

import msgspec

from quantum_forge.eventstore.base.codec import decode, encode, encode_metadata, malformed
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventRefused, EventTooLarge, QuantumForgeError
from quantum_forge.eventstore.base.size import require_event_size
from quantum_forge.schema.language.identity import natural_id

LONGEST_LINE = 64 * 2**20
"""Bytes; a longer line is refused rather than read into memory."""


class BadLine(QuantumForgeError):
    """A line is not an event; `number` counts from 1."""

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        self.reason = reason
        super().__init__(f"line {number}: {reason}")


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """What a line may say; of an event's envelope everything but type and entity is optional."""

    event_type: str
    entity_id: UUID
    data: msgspec.Raw
    event_id: UUID | None = None
    tenant_id: UUID | None = None
    user_id: UUID | None = None
    entity_type: str | None = None
    schema_version: int | None = None
    expected_version: int | None = None
    occurred_at: datetime | None = None
    metadata: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Line)


def parse_line(line: bytes, number: int, *, tenant_id: UUID, user_id: UUID | None) -> NewEvent:
    """The event that a line is, with this tenant and user unless it names others.

    Without an event_id it gets one that follows from the line's text and number: the same file
    always has the same ids, and may be appended again.

    Raises:
        BadLine: when it is not one.
    """
    try:
        fields = _decoder.decode(line)
        event = decode(fields.event_type, bytes(fields.data), schema_version=fields.schema_version)
        size = len(encode(event)) + len(encode_metadata(fields.event_type, fields.metadata or {}))
    except msgspec.DecodeError as error:
        raise BadLine(number, malformed(error, line) or str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EventRefused) as error:
        raise BadLine(number, str(error)) from error
    if fields.entity_type not in (None, event.entity_type):
        raise BadLine(
            number,
            f"{fields.event_type} happens to a {event.entity_type}, not to a {fields.entity_type}",
        )
    if fields.occurred_at is not None and fields.occurred_at.tzinfo is None:
        raise BadLine(number, "occurred_at has no time zone; write 2026-11-20T12:00:00Z")
    tenant = fields.tenant_id or tenant_id
    text = line.strip().decode(errors="replace")
    event_id = fields.event_id or natural_id("line", tenant, number, text)
    try:
        require_event_size(fields.event_type, event_id, size)
    except EventTooLarge as error:
        raise BadLine(number, str(error)) from error
    return NewEvent(
        event_id=event_id,
        tenant_id=tenant,
        entity_id=fields.entity_id,
        event=event,
        user_id=fields.user_id or user_id,
        expected_version=fields.expected_version,
        occurred_at=fields.occurred_at,
        metadata=fields.metadata or {},
    )


def read_lines(
    file: IO[bytes], *, tenant_id: UUID, user_id: UUID | None
) -> Iterator[NewEvent | BadLine]:
    """The event, or what is wrong, of each line that is not blank, in bounded memory."""
    for found in numbered(file):
        if isinstance(found, BadLine):
            yield found
            continue
        number, line = found
        try:
            yield parse_line(line, number, tenant_id=tenant_id, user_id=user_id)
        except BadLine as bad:
            yield bad


def numbered(file: IO[bytes]) -> Iterator[tuple[int, bytes] | BadLine]:
    """Each line that is not blank with its number, or that it is too long, in bounded memory."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM_UTF8)
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            yield BadLine(number, f"longer than {LONGEST_LINE // 2**20} MB")
        elif line.strip():
            yield number, line
