"""The owner of this program's tables."""

from sqlalchemy import ARRAY, Connection, Row, Text, bindparam, text

from quantum_forge.schema.domains import METADATA

_OWNER = text("""
    SELECT o.id, quote_ident(pg_get_userbyid(o.id)) AS name
      FROM (SELECT mode() WITHIN GROUP (ORDER BY relowner) AS id FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relname = ANY (:tables)) AS o
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def owner_of_tables(connection: Connection) -> Row[tuple[int, str]]:
    """Return the role that owns most of the tables: its id, and its name as SQL writes it.

    One table that was given to another role, even the log, is so found to be the exception.
    """
    return connection.execute(_OWNER, {"tables": list(METADATA.tables)}).one()
