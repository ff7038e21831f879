"""Settings of a session on which the meaning of results depends.

They hold whatever is set for the server (postgresql.conf), the database (ALTER DATABASE), the login
(ALTER ROLE) or the client (PGOPTIONS, PGCLIENTENCODING). With extra_float_digits = 0, for one,
energies lose their last digits when they are exported.

Behind a transaction pooler a session is not a client's own: pgbouncer keeps client_encoding,
DateStyle, TimeZone and standard_conforming_strings for each client, and the others must be set on
the database.
"""

from typing import Any

SESSION_SETTINGS = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",  # the shortest text that gives the same double
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",  # reads of the log take a new snapshot each
    "search_path": "public",
}

_STATEMENT = "; ".join(f"SET {name} TO '{value}'" for name, value in SESSION_SETTINGS.items())


def set_session(driver: Any) -> None:
    """Give a new psycopg connection, or SQLAlchemy's adapted one, the settings: one round trip.

    Raises:
        psycopg.Error: when the connection breaks.
    """
    driver.autocommit = True
    cursor = driver.cursor()
    try:
        cursor.execute(_STATEMENT)
    finally:
        cursor.close()
    driver.autocommit = False
