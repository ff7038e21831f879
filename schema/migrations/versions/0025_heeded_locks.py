"""Readers heed the locks of sessions that append, and no others."""

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for appends that began before 0024, and run the SQL frozen beside this file."""
    run_frozen("0025_heeded_locks")


def downgrade() -> None:
    """Put the old safe_head back."""
    run_frozen("0025_heeded_locks_undo")
