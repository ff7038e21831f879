"""Notify users."""

from quantum_forge.schema.migrations.frozen import run_sql

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql(__file__)


def downgrade() -> None:
    """Run the SQL beside this file that undoes it."""
    run_sql(__file__, "_undo")
