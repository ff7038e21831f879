"""Computed properties of molecules, and performance of batches."""

from alembic import op

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0006_properties")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.execute("DROP INDEX calculations_completed_gap_idx")
    drop_read_models("molecule_properties_computed", "batch_job_performance")
