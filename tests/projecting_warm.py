"""What each projecting process would compute first, done once by whom they are forked from."""

from projections.checkpoint import fingerprint
from projections.registry import PROJECTIONS

for projection in PROJECTIONS.values():
    fingerprint(projection)
