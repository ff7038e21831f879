"""Partitions are made without holding up appends: short waits, one at a time, no long scan."""

from schema.migrations.frozen import replace_functions, run_frozen

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0019_partitions")


def downgrade() -> None:
    """Put back the function as it was."""
    replace_functions("0001_log", "maintain_event_partitions")
