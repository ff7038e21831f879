"""Partitions are made without holding up appends: short waits, one at a time, no long scan."""

from quantum_forge.schema.migrations.frozen import replace_functions, run_frozen

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0022_partitions")


def downgrade() -> None:
    """Put back the function as it was."""
    replace_functions("0001_log", "maintain_event_partitions")
