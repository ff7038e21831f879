"""Makes read models anew from the whole log, beside the live tables, and swaps them in."""

from quantum_forge.projections.rebuild.errors import (
    RebuildRunning,
    RebuildStopped,
    SwapBlocked,
    SwapImpossible,
)
from quantum_forge.projections.rebuild.filling import Progress
from quantum_forge.projections.rebuild.rebuild import (
    RebuildsFailed,
    Rebuilt,
    rebuild,
    rebuild_all,
    roll_back,
)
from quantum_forge.projections.rebuild.swap import NothingKept

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
