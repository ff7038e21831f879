"""Stored fingerprints of definitions follow a change of how they are computed.

They contained the path of a Python module, so that moving the module asked for a rebuild.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

FINGERPRINTS = [  # projection, before, after
    ("atomic_properties", "e28badaf51d7b31c", "996820f2f143bc5f"),
    ("batch_item_names", "23d3ca61c4e12d68", "530ff849e72840ba"),
    ("batch_items", "863e2f4e9f33533f", "b0b34839602451b3"),
]


def upgrade() -> None:
    """Replace the old fingerprints of the same definitions; others still ask for a rebuild."""
    for projection, before, after in FINGERPRINTS:
        _replace(projection, before, after)


def downgrade() -> None:
    """Store what the version before computes."""
    for projection, before, after in FINGERPRINTS:
        _replace(projection, after, before)


def _replace(projection: str, old: str, new: str) -> None:
    for table in ("projection_checkpoints", "projection_copies"):
        op.execute(
            f"UPDATE {table} SET fingerprint = '{new}'"
            f" WHERE projection = '{projection}' AND fingerprint = '{old}'"
        )
