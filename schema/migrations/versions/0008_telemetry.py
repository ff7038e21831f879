"""Read models of metrics, API requests and errors."""

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (
    "performance_metrics",
    "api_usage_logs",
    "errors",
)


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0008_telemetry")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    drop_read_models(*TABLES)
