"""Checkpoints hold the id of the last event that they cover."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is null until a checkpoint moves."""
    op.execute("""
        ALTER TABLE projection_checkpoints ADD COLUMN event_id UUID;
        COMMENT ON COLUMN projection_checkpoints.event_id IS
            'Of the last event up to the position; null before the first move';
    """)


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE projection_checkpoints DROP COLUMN event_id")
