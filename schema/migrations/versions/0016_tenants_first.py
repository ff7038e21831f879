"""Appends check tenants before they touch a stream, and take at most 10,000 events a call."""

from quantum_forge.schema.migrations.frozen import replace_functions, run_frozen

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0016_tenants_first")


def downgrade() -> None:
    """Put back the functions as they were."""
    replace_functions("0001_log", "append_batch", "append_events")
