"""Rows of any number, written as they come, in bounded memory: lines of JSON, Arrow, Parquet."""

from collections.abc import Iterator

from sqlalchemy import Connection

from quantum_forge.web.rest.cursor import Cursor
from quantum_forge.web.rest.request.media import Form
from quantum_forge.web.rest.statements.statements import Statements


def stream(connection: Connection, statements: Statements, form: Form) -> Iterator[bytes]:
    """Begin to read rows, and return them as they are to be written.

    What the database refuses, it refuses now: a status cannot be taken back later.
    """
    if form is Form.LINES:
        return _lines(Cursor(connection, statements.documents))
    # Here, because importing pyarrow takes longer than most requests.
    from quantum_forge.web.rest.arrow_body import Columns, arrow, parquet

    columns = Columns(statements.outputs)
    cursor = Cursor(connection, columns.of(statements.columns))
    return (arrow if form is Form.ARROW else parquet)(columns, cursor)


def _lines(cursor: Cursor) -> Iterator[bytes]:
    for rows in cursor:
        chunk = "".join([f"{document}\n" for (document,) in rows]).encode()
        cursor.weigh(rows, len(chunk))
        yield chunk
