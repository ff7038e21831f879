"""Refuse event types under other entity types."""

from quantum_forge.schema.migrations.frozen import run_sql

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql(__file__)


def downgrade() -> None:
    """Run the SQL beside this file that undoes it."""
    run_sql(__file__, "_undo")
