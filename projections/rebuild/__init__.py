"""Makes read models anew from the whole log, beside the live tables, and swaps them in."""

from projections.rebuild.errors import RebuildRunning, RebuildStopped, SwapBlocked, SwapImpossible
from projections.rebuild.rebuild import (
    Progress,
    RebuildsFailed,
    Rebuilt,
    rebuild,
    rebuild_all,
    roll_back,
)
from projections.rebuild.swap import NothingKept

__all__ = [
    "NothingKept",
    "Progress",
    "RebuildRunning",
    "RebuildStopped",
    "RebuildsFailed",
    "Rebuilt",
    "SwapBlocked",
    "SwapImpossible",
    "rebuild",
    "rebuild_all",
    "roll_back",
]
