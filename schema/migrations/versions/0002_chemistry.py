"""Read models of molecules and calculations."""

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0002_chemistry")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    drop_read_models(
        "molecules",
        "calculations",
        "atomic_properties",
        "calculation_execution_metrics",
        "calculation_errors",
    )
