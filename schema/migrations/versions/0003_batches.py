"""Read models of batches."""

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0003_batches")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    drop_read_models(
        "batch_jobs",
        "batch_items",
    )
