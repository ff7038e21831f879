"""A batch's members are calculations with names, and its identity holds its parameters."""

from alembic import op

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables anew, empty; the next projector fills them from the log."""
    drop_read_models("batch_jobs", "batch_items")
    run_frozen("0019_batch_members")
    op.execute("""
        CREATE INDEX molecules_name_idx ON molecules USING hash (name);
        COMMENT ON COLUMN calculations.batch_id IS
            'The batch that last ran it; its batches are in batch_items'
    """)


def downgrade() -> None:
    """Make the tables as they were, empty; the next projector fills them from the log."""
    op.execute("""
        DROP INDEX molecules_name_idx;
        COMMENT ON COLUMN calculations.batch_id IS 'The batch that last ran it'
    """)
    drop_read_models("batch_jobs", "batch_items", "batch_item_names")
    run_frozen("0003_batches")
