"""State of the tables of a request, as a text that differs once a row of them may differ."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.tables import projection_checkpoints, projection_dead_letters
from quantum_forge.schema.tables.dead_letters import LIVE
from quantum_forge.web.rest.statements.branches import Branch

_MADE: ColumnElement[str] = literal_column(
    "concat_ws(':', CAST('projection_checkpoints' AS regclass)::oid, CASE WHEN pg_is_in_recovery()"
    " THEN (SELECT timeline_id::text FROM pg_control_checkpoint())"
    " ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END)",
    Text(),
)
"""When the tables were made, and the timeline of the log's WAL, which a promotion begins anew."""

checkpoint, letter = projection_checkpoints.c, projection_dead_letters.c


def table_names(root: Branch) -> list[str] | None:
    """Return the projections that fill the tables of a request.

    None where one of them is the log or a view, whose state has no name.
    """
    branches = list(_every(root))
    if any(branch.table.projection is None for branch in branches):
        return None
    junctions = (branch.relation.junction for branch in branches if branch.relation is not None)
    names = {branch.table.name for branch in branches}
    return sorted(names | {junction.table for junction in junctions if junction is not None})


def state_of(names: list[str], position: int | None) -> Select[str]:
    """Return the query for the state of tables, as the session sees them.

    It has the events that are folded in, of the types that each table reads, by which definition,
    and those that are left out; and who asks, since policies decide which rows are seen. It tells
    tables apart that were made anew by a restoration or a reset, and the log after a failover,
    whose positions may hold other events. An event of another type moves the checkpoint and changes
    nothing here, and none changes the past.

    Args:
        names: of the projections that fill them.
        position: of the log, as of which they are read; None: as they are.
    """
    # Most requests ask for tables as they are: this query takes a third of the time to make theirs.
    return _present_state(tuple(names)) if position is None else _state(tuple(names), position)


@lru_cache(maxsize=256)
def _present_state(names: tuple[str, ...]) -> Select[str]:
    return _state(names, None)


def _state(names: tuple[str, ...], position: int | None) -> Select[str]:
    wanted = literal(list(names), ARRAY(Text()))
    left_out = select(
        func.string_agg(
            func.concat_ws(":", letter.projection, letter.position),
            aggregate_order_by(literal(","), letter.projection, letter.position),
        )
    ).where(letter.projection == func.any(wanted), letter.copy == LIVE)
    if position is None:
        contents = _folded(wanted)
    else:
        definitions = (fingerprint(PROJECTIONS[name]) for name in names)
        contents = literal(f"{position}:{','.join(definitions)}", Text())
    parts = [
        contents,
        left_out.scalar_subquery(),
        cast(func.current_tenant(), Text()),
        cast(func.current_user(), Text()),
        _MADE,
    ]
    return select(func.concat_ws(";", *(func.coalesce(part, "") for part in parts)))


def _folded(wanted: ColumnElement[Sequence[str]]) -> ColumnElement[str]:
    """What is folded into each table."""
    facts = func.concat_ws(
        ":", checkpoint.projection, checkpoint.fingerprint, checkpoint.consumed, checkpoint.ids_hash
    )
    gathered = func.string_agg(facts, aggregate_order_by(literal(","), checkpoint.projection))
    query = select(gathered).where(checkpoint.projection == func.any(wanted))
    return query.scalar_subquery()


def _every(branch: Branch) -> Iterator[Branch]:
    yield branch
    for child in branch.children:
        yield from _every(child)
