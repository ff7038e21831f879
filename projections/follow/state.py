"""State of all projections at once: lag, definition, dead letters; in one statement."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Connection, Select, Text, cast, func, literal, select, true, values
from sqlalchemy import column as sql_column

from quantum_forge.projections.compiler.dead_letters import LIVE
from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.schema.language.projection import Projection
from quantum_forge.schema.tables import event_logs, projection_checkpoints, projection_dead_letters


class ProjectionState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a projection is.

    position: of its checkpoint. positions: from there to the safe head. waiting_since: when the
    first event was recorded that it has yet to fold; None where there is none, or where the login
    may not see it. is_stale: whether another definition has filled its table. parked: events that
    its table could not take.
    """

    projection: str
    position: int
    positions: int
    waiting_since: datetime | None
    is_stale: bool
    parked: int

    @property
    def is_behind(self) -> bool:
        """Whether there is something to fold."""
        return self.waiting_since is not None

    @property
    def needs(self) -> str | None:
        """The command that it needs, if any."""
        if self.is_stale:
            return f"qforge rebuild {self.projection}"
        if self.parked:
            return "qforge dead-letters list"
        return "qforge project --once" if self.is_behind else None


def select_states(projections: Collection[Projection]) -> Select[Any]:
    """The query for how far projections are, by name."""
    declared = (
        values(
            sql_column("projection", Text),
            sql_column("declared", Text),
            sql_column("reads", Text),
            name="declared",
        )
        .data(
            [
                (each.name, str(fingerprint(each)), ",".join(sorted(each.reads)))
                for each in projections
            ]
        )
        .cte("declared_projections")
    )
    head = select(func.safe_head().label("safe")).cte("head")
    checkpoint, dead, log = projection_checkpoints.c, projection_dead_letters.c, event_logs.c
    position = func.coalesce(checkpoint.position, 0)
    types = cast(func.string_to_array(declared.c.reads, ","), ARRAY(Text))
    waiting = (
        select(log.recorded_at)
        .where(log.id > position, log.id <= head.c.safe, log.event_type == func.any(types))
        .order_by(log.id)
        .limit(1)
        .lateral("waiting")
    )
    parked = (
        select(func.count())
        .where(
            dead.projection == declared.c.projection,
            dead.copy == literal(LIVE),
            dead.discarded_at.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(
            declared.c.projection,
            position.label("position"),
            func.greatest(0, head.c.safe - position).label("positions"),
            waiting.c.recorded_at.label("waiting_since"),
            func.coalesce(checkpoint.fingerprint != declared.c.declared, False).label("is_stale"),
            parked.label("parked"),
        )
        .join_from(declared, head, true())
        .join(projection_checkpoints, checkpoint.projection == declared.c.projection, isouter=True)
        .join(waiting, true(), isouter=True)
        .order_by(declared.c.projection)
    )


def read_states(
    connection: Connection, projections: Collection[Projection]
) -> list[ProjectionState]:
    """Return how far projections are, by name.

    A login that row-level security restricts to a tenant learns of the events of its tenant only.
    """
    return [
        msgspec.convert(dict(row), ProjectionState)
        for row in connection.execute(select_states(projections)).mappings()
    ]
