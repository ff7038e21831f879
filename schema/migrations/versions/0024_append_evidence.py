"""Appends leave evidence beside their advisory lock, and wait for no key that is held."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0024_append_evidence")


def downgrade() -> None:
    """Put back the functions as they were, and drop what `upgrade` made."""
    run_frozen("0024_append_evidence_undo")
    op.execute("""
        DROP FUNCTION hold_append_floor();
        DROP VIEW append_locks;
        DROP FUNCTION append_evidence();
        DROP SCHEMA qforge_private CASCADE;
    """)
