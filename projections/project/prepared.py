"""Folds that PostgreSQL plans seldom: for a few events, planning them is most of the work."""

import hashlib
from functools import cache

from psycopg import sql
from sqlalchemy import ClauseElement, Connection

from quantum_forge.eventstore.database.driver_sql import driver_sql
from quantum_forge.projections import compiler
from quantum_forge.projections.compiler.log import AFTER, UPTO
from quantum_forge.schema.language.projection import Projection

SMALL = 500
"""Positions up to which any plan is quick. Whenever the log has doubled since, a plan is made anew:
that for an empty table looks rows up by any index that there is."""

_RANGE = {AFTER.key: "$1", UPTO.key: "$2"}


def run_prepared(connection: Connection, projection: Projection, after: int, upto: int) -> None:
    """Fold the events above `after` up to `upto` into the table.

    The connection must keep what is prepared: `quantum_forge.eventstore.database.engine.is_direct`.
    """
    prepared_at: dict[str, int] = connection.info.setdefault("qforge_prepared", {})
    statements = statements_of(projection)
    for name, statement in statements.items():
        if (before := prepared_at.get(name)) is not None and upto > 2 * max(before, SMALL):
            connection.exec_driver_sql(f"DEALLOCATE {name}")
            del prepared_at[name]
        if name not in prepared_at:
            connection.exec_driver_sql(f"PREPARE {name} (bigint, bigint) AS {statement}")
            prepared_at[name] = upto
    connection.exec_driver_sql(
        "; ".join(f"EXECUTE {name} ({after}, {upto})" for name in statements)
    )


@cache
def statements_of(projection: Projection) -> dict[str, str]:
    """The SQL that folds a range into the table, in order, by names that tell them from all others.

    $1 and $2 stand for the range: above the first position, up to the second.
    """
    made = (
        compiler.delete_trimmed(projection),
        compiler.delete_ended(projection),
        compiler.upsert(projection),
    )
    texts = [_text(statement) for statement in made if statement is not None]
    return {f"fold_{hashlib.sha256(text.encode()).hexdigest()[:32]}": text for text in texts}


def _text(statement: ClauseElement) -> str:
    """A statement in SQL, with $1 and $2 for the range and its other values written out."""
    template, values = driver_sql(statement, dict.fromkeys(_RANGE, 0))
    written = {name: sql.Literal(value).as_string() for name, value in values.items()}
    return template % (written | _RANGE)
