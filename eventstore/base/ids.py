"""UUIDv7 ids, which are ordered by time."""

import os
import time
from uuid import UUID


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
