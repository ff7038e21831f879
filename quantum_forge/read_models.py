"""Methods of a forge that keep read models up to date, rebuild them, and prove them right."""

from typing import TYPE_CHECKING

from quantum_forge.door import Door
from quantum_forge.entities import projection_of
from quantum_forge.projections.follow import waiting
from quantum_forge.projections.registry import named

if TYPE_CHECKING:
    from quantum_forge.projections.follow.background import BackgroundProjector
    from quantum_forge.projections.history.verify import Verification
    from quantum_forge.projections.rebuild import Rebuilt

# What folds is imported when it is called: a command that only reads waits for none of it.


def catch_up(forge: Door, *tables: str) -> int:
    """Fold everything up to the present safe head into these read models, or into all.

    Returns:
        How many events were folded, each counted once for every read model that reads it.

    Raises:
        RebuildNeeded: when a definition has changed; the others are brought up to date first.
        FoldFailed: when the server refuses to fold; likewise.
        UnknownProjection
    """
    from quantum_forge.projections.project import projector

    return projector.catch_up(forge.engine, named(tables))


def projecting(forge: Door, *tables: str, auto_rebuild: bool = False) -> "BackgroundProjector":
    """Keep these read models, or all, up to date in a thread for the length of a `with`.

    Args:
        tables: their names.
        auto_rebuild: rebuild those whose definition has changed.
    """
    from quantum_forge.projections.follow.background import BackgroundProjector

    return BackgroundProjector(forge.engine, named(tables), auto_rebuild=auto_rebuild)


def wait_for(forge: Door, table: str, position: int, *, timeout: float = waiting.TIMEOUT) -> None:
    """Wait until a read model has folded everything up to a position, such as a record's.

    Folds nothing itself: something must be `projecting`.

    Args:
        table: its name.
        position: of the last event that must be in it.
        timeout: in s.

    Raises:
        ProjectionBehind: when it takes longer.
        RebuildNeeded: when the definition has changed, so that waiting would be in vain.
    """
    waiting.wait_for(forge.engine, projection_of(table), position, timeout=timeout)


def rebuild(
    forge: Door, *tables: str, dry_run: bool = False, keep: bool = False
) -> "list[Rebuilt]":
    """Fold these read models, or all, anew beside the live tables, compare, and swap them in.

    Args:
        tables: their names.
        dry_run: compare only, and drop the new tables.
        keep: the old tables, for `qforge rebuild --rollback`.

    Raises:
        RebuildsFailed: when several could not be rebuilt; a lone error as it is.
        UnknownProjection
    """
    from quantum_forge.projections.rebuild import rebuild_all

    return rebuild_all(forge.engine, named(tables), dry_run=dry_run, keep=keep)


def verify(forge: Door, *tables: str, limit: int = 20) -> "list[Verification]":
    """Compare these read models, or all, with the log; nothing is locked or written.

    Args:
        tables: their names.
        limit: how many differing rows of each to return.

    Returns:
        For each, what was compared; `agrees` says whether the table is what the log says.

    Raises:
        FoldFailed: when the log holds events that cannot be folded.
        UnknownProjection
    """
    from quantum_forge.projections.history.verify import verify as compare_with_log

    return [compare_with_log(forge.engine, each, limit=limit) for each in named(tables)]
