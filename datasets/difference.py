"""Difference of two datasets: rows added, changed and removed, with the reason."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, Subquery, Text, func, literal, select

from quantum_forge.datasets.columns import OF_CALCULATIONS
from quantum_forge.datasets.export import snapshot
from quantum_forge.datasets.manifest import Manifest, Recipe
from quantum_forge.datasets.reproduction import OtherTenantsDataset
from quantum_forge.datasets.selection import select_candidates, select_judged
from quantum_forge.eventstore.base.envelope import Position
from quantum_forge.eventstore.log.place import require_place
from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.projections.history.difference import Change, ChangeKind, difference
from quantum_forge.projections.history.moment import position_at

NO_LONGER_ASKED_FOR = "not_asked_for"
"""Why a result is gone that counts as before, but does not fit the later conditions."""


class DatasetDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How two datasets differ.

    earlier, later: positions of the log. removed_because: how many of the removed rows for which
    reason: `retracted`, `invalidated`, `molecule_deleted`, …, or `not_asked_for`. examples: the
    first rows by calculation id that differ. reasons: of removed rows among them, by calculation.
    """

    earlier: Position
    later: Position
    added: int
    removed: int
    changed: int
    removed_because: dict[str, int]
    examples: list[Change]
    reasons: dict[str, str]


def compare(
    engine: Engine,
    before: Manifest,
    after: Manifest | None,
    author: Author,
    *,
    limit: int | None = 50,
) -> DatasetDifference:
    """Compare two datasets, or one with what its query gives now, row by row in the database.

    A row is changed when any of its values is, the event that completed it among them, and with it
    every atom. Formats and units do not matter.

    Args:
        engine: of the database.
        before: the manifest of one dataset.
        after: of another; None: the same query at the end of the log.
        author: who compares, and for which tenant.
        limit: how many differing rows to give; they are counted all the same.

    Raises:
        OtherTenantsDataset
        BeyondHead: when the log does not reach a position.
        LogDiverged: when the log has another event at a dataset's last position.
    """
    for manifest in (before, after):
        if manifest is not None and manifest.recipe.tenant_id != author.tenant_id:
            raise OtherTenantsDataset(str(manifest.recipe.tenant_id))
    with engine.connect() as connection:
        head = safe_head(connection)
        later = (
            msgspec.structs.replace(before.recipe, position=head) if after is None else after.recipe
        )
        for manifest in (before, after):
            if manifest is not None and manifest.place is not None:
                require_place(connection, manifest.place)
        positions = [position_at(connection, r.position) for r in (before.recipe, later)]
    with snapshot(engine) as connection:
        judged = [
            _judged(connection, recipe, name)
            for recipe, name in ((before.recipe, "before"), (later, "after"))
        ]
        found = difference(
            connection,
            _valid_rows(judged[0], "then"),
            _valid_rows(judged[1], "now"),
            ["calculation_id"],
            limit=limit,
        )
        gone = _select_gone(*judged)
        because = connection.execute(
            select(gone.c.reason, func.count()).group_by(gone.c.reason).order_by(gone.c.reason)
        )
        removed_because = {row[0]: row[1] for row in because}
        ids = [c.key["calculation_id"] for c in found.examples if c.kind is ChangeKind.REMOVED]
        named = connection.execute(
            select(gone.c.calculation_id, gone.c.reason).where(gone.c.calculation_id.in_(ids))
        )
        reasons = {str(row[0]): row[1] for row in named}
    return DatasetDifference(
        earlier=positions[0],
        later=positions[1],
        added=found.added,
        removed=found.removed,
        changed=found.changed,
        removed_because=removed_because,
        examples=found.examples,
        reasons=reasons,
    )


def _judged(connection: Connection, recipe: Recipe, name: str) -> Subquery:
    candidates = select_candidates(
        connection, recipe.tenant_id, recipe.position, recipe.selection.batch_id
    )
    judged = select_judged(candidates, recipe.selection)
    return select(judged).subquery(name)


def _valid_rows(judged: Subquery, name: str) -> Subquery:
    """The rows of a dataset, without the atoms, which follow from the event that completed them."""
    query: Select[Any] = select(*(judged.c[column.name] for column in OF_CALCULATIONS))
    return query.where(judged.c.reason.is_(None)).subquery(name)


def _select_gone(before: Subquery, after: Subquery) -> Subquery:
    """The rows that were in a dataset and are not in the later one, with the reason."""
    reason = func.coalesce(after.c.reason, literal(NO_LONGER_ASKED_FOR, Text()))
    return (
        select(before.c.calculation_id, reason.label("reason"))
        .select_from(before.outerjoin(after, before.c.calculation_id == after.c.calculation_id))
        .where(
            before.c.reason.is_(None),
            after.c.reason.is_not(None) | after.c.calculation_id.is_(None),
        )
        .subquery("gone")
    )
