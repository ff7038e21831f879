"""Natural identities: the id that everybody derives for the same thing of the same tenant."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1d4a52-6d0c-5c1e-9b0e-51464f524745")
"""Root of all natural ids, of the default tenant, and of the users named after their login.

Changing it would give every molecule a second identity.
"""

Identity = Callable[[UUID, Any], UUID]
"""Derives an entity's natural id from the tenant and the event that begins it."""


def natural_id(kind: str, tenant_id: UUID, *parts: object) -> UUID:
    """Derive the id that everybody derives for the same thing of the same tenant.

    Args:
        kind: of thing, so that a batch and a molecule of one name differ.
        tenant_id: who owns it.
        parts: what identifies it; their texts must not contain a unit separator (U+001F).
    """
    return uuid5(NAMESPACE, "\x1f".join([kind, str(tenant_id), *map(str, parts)]))
