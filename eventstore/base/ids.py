"""Where ids come from: UUIDv7 for what is new, UUIDv5 for what has a natural identity."""

import os
import time
from collections.abc import Mapping
from uuid import UUID, uuid5

import msgspec

NAMESPACE = UUID("6f1d4a52-6d0c-5c1e-9b0e-51464f524745")
"""Root of all natural ids, of the default tenant, and of the users named after their login.

Changing it would give every molecule a second identity.
"""

CHANGE_NO_RESULT = frozenset({"batch", "timeout_seconds"})
"""Parameters that a batch records and that change none of its results."""


def uuid7() -> UUID:
    """Make a new time-ordered id (RFC 9562, section 5.7): 48 bits of milliseconds, 74 random."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    return UUID(
        int=(milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )


def natural_id(kind: str, tenant_id: UUID, *parts: object) -> UUID:
    """Derive the id that everybody derives for the same thing of the same tenant.

    Args:
        kind: of thing, so that a batch and a molecule of one name differ.
        tenant_id: who owns it.
        parts: what identifies it; their texts must not contain a unit separator (U+001F).
    """
    return uuid5(NAMESPACE, "\x1f".join([kind, str(tenant_id), *map(str, parts)]))


def molecule_id(tenant_id: UUID, structure: str, charge: int, multiplicity: int) -> UUID:
    """Id of the molecule with this structure, charge (e) and multiplicity (2S+1).

    structure: its canonical SMILES, or else its identity key.
    """
    return natural_id("molecule", tenant_id, structure, charge, multiplicity)


def batch_id(
    tenant_id: UUID,
    name: str,
    parameters: Mapping[str, object] | None = None,
    source: str | None = None,
) -> UUID:
    """Id of the batch with this name, these parameters and this source.

    Args:
        tenant_id: who owns it.
        name: what people call it.
        parameters: the settings of its calculations. Those that change no result, and those that
            are None, do not count, so that a new optional setting leaves the ids of old batches.
            None: the id that a batch of this name had when the name alone identified it.
        source: the file whose batch it is; None for a batch that the user named, which several
            files can join.
    """
    if parameters is None:
        return natural_id("batch", tenant_id, name)
    settings = {
        key: value
        for key, value in parameters.items()
        if value is not None and key not in CHANGE_NO_RESULT
    }
    identity = msgspec.json.encode([name, settings, source], order="deterministic").decode()
    return natural_id("batch with parameters", tenant_id, identity)
