"""What each projecting process would compute first, done once by whom they are forked from."""

from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.projections.registry import PROJECTIONS

for projection in PROJECTIONS.values():
    fingerprint(projection)
