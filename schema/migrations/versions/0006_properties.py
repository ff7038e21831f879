"""Computed properties of molecules, performance of batches, and counts that retractions lower.

`molecules` gets new columns in its middle, so it is made anew, and the next projector fills it from
the start of the log.
"""

from alembic import op

from schema.migrations.frozen import run_frozen

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    _forget()
    op.execute("DROP TABLE molecules")
    run_frozen("0006_properties")


def downgrade() -> None:
    """Drop what `upgrade` made, and make `molecules` as it was."""
    _forget()
    op.execute("""
        DROP INDEX calculations_completed_gap_idx;
        DROP TABLE molecules, molecule_properties_computed, batch_job_performance;
    """)
    run_frozen("0006_properties_down")


def _forget() -> None:
    op.execute("""
        DELETE FROM projection_checkpoints
         WHERE projection IN ('molecules', 'molecule_properties_computed', 'batch_job_performance')
    """)
