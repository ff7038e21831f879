"""Appends wait for the head of a stream for 30 s at most."""

from quantum_forge.schema.migrations.frozen import replace_functions, run_frozen

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0028_append_waits")


def downgrade() -> None:
    """Let appends wait without a limit of their own."""
    replace_functions("0024_append_evidence", "hold_append_floor")
