"""Read models of who did what, and metrics by the hour."""

from alembic import op

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = (
    "performance_metrics_hourly",
    "user_audit_log",
    "activity_logs",
)


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0010_audit")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    drop_read_models(*TABLES)
    op.execute("DROP FUNCTION short_facts")
