"""Entity tags (RFC 9110): whether a client has the present rows already."""

import hashlib
from collections.abc import Iterable

DIGITS = 32


def entity_tag(state: str, form: Iterable[str]) -> str:
    """Return the tag of a reply.

    Args:
        state: of its tables; two that are equal give the same rows.
        form: what else the reply varies with, beside its address.
    """
    digest = hashlib.sha256("\x1f".join([state, *form]).encode())
    return f'W/"{digest.hexdigest()[:DIGITS]}"'


def is_known(tag: str, if_none_match: str) -> bool:
    """Whether a client says that it has the reply of a tag."""
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags
