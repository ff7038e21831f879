"""Methods of a forge that look at read models as they were, and at how they became so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select

from quantum_forge.door import Door
from quantum_forge.entities import Entity, key_parts, projection_of
from quantum_forge.moments import Moment, position_of
from quantum_forge.reading import position
from quantum_forge.table import Query

if TYPE_CHECKING:
    from quantum_forge.projections.history.difference import Difference
    from quantum_forge.projections.history.lineage import Lineage

# The compiler of folds is imported when it is called: a command that only reads waits for none of
# it.


def as_of(forge: Door, table: str, moment: Moment) -> Query:
    """Return a query of a read model's rows as they were, folded from the log.

    Args:
        table: its name.
        moment: a position of the log, a time, or text: "2h" is two hours ago, a day such as
            "2026-03-31" means its end.

    Raises:
        UnknownProjection, BeyondHead, WrongMoment
    """
    from quantum_forge.projections.history.as_of import as_of as state_as_of

    projection = projection_of(table)
    past = state_as_of(projection, position(forge, moment))
    return Query._over(forge.connect, table, past, forge.author.tenant_id)


def diff(
    forge: Door, table: str, before: Moment, after: Moment | None = None, *, limit: int | None = 20
) -> "Difference":
    """Compare a read model's rows at two moments.

    Args:
        table: its name.
        before: the one moment, as for `as_of`; the log may have begun after it.
        after: the other one; None: the end of the log.
        limit: how many differing rows to return, the first by key; they are counted all.

    Raises:
        UnknownProjection, BeyondHead, WrongMoment
    """
    from quantum_forge.projections.history.as_of import as_of as state_as_of
    from quantum_forge.projections.history.difference import difference

    projection = projection_of(table)
    with forge.connect() as connection:
        states = []
        for moment, name in ((before, "before"), (after, "after")):
            past = state_as_of(projection, position_of(connection, moment, may_precede=True))
            mine = select(past).where(past.c.tenant_id == forge.author.tenant_id)
            states.append(mine.subquery(name))
        key = ["tenant_id", *projection.key]
        return difference(connection, states[0], states[1], key, limit=limit)


def explain(
    forge: Door, table: str, key: Entity | str | Sequence[str], *, at: Moment | None = None
) -> "Lineage":
    """Return the events behind a row, and which of them gave each column its value.

    Args:
        table: the read model's name.
        key: the id of the row, or at least the first 4 digits of it; a sequence of texts where
            the key has several columns.
        at: a moment, as for `as_of`; None: what the table holds now.

    Raises:
        NoSuchRow: when no event concerns such a row.
        SeveralRows: when the key fits several rows.
        UnknownProjection, BeyondHead, WrongMoment
    """
    from quantum_forge.projections.history import lineage
    from quantum_forge.projections.project.checkpoint import read_checkpoints

    projection = projection_of(table)
    parts = key_parts(key)
    with forge.connect() as connection:
        if at is None:
            checkpoint = read_checkpoints(connection).get(projection.name)
            at_position = 0 if checkpoint is None else checkpoint.position
        else:
            at_position = position_of(connection, at)
        found = lineage.explain(
            connection,
            projection,
            lineage.find_key(connection, projection, forge.author.tenant_id, parts),
            at_position,
        )
    if not found.steps:
        raise lineage.NoSuchRow(projection.name, parts, list(projection.key))
    return found
