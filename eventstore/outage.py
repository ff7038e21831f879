"""Which errors say that the server, or the way to it, is away, and so may pass."""

import psycopg
from sqlalchemy.exc import DBAPIError

from eventstore.errors import (
    ConnectionLost,
    DatabaseUnreachable,
    NeedsPrimary,
    QuantumForgeError,
    TooManyConnections,
)

LOST = (
    ConnectionLost,
    DatabaseUnreachable,
    TooManyConnections,
    NeedsPrimary,
    DBAPIError,
    psycopg.OperationalError,
)
"""What to catch; then `is_loss` tells."""


def is_loss(error: Exception) -> bool:
    """Whether one of these says that the server is away, rather than that the query is wrong."""
    if isinstance(error, QuantumForgeError):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return True
