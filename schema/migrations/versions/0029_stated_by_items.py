"""Whether an input of a batch states the charge and the multiplicity of an item."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which are null in rows of before."""
    op.execute("""
        ALTER TABLE batch_items
            ADD COLUMN charge_source TEXT,
            ADD COLUMN multiplicity_source TEXT,
            ADD CONSTRAINT item_charge_source_is_known
                CHECK (charge_source IN ('given', 'assumed')),
            ADD CONSTRAINT item_multiplicity_source_is_known
                CHECK (multiplicity_source IN ('given', 'assumed'));
        COMMENT ON COLUMN batch_items.charge_source IS
            'given where an input of the batch states the charge, else assumed';
        COMMENT ON COLUMN batch_items.multiplicity_source IS
            'given where an input of the batch states the multiplicity, else assumed';
    """)


def downgrade() -> None:
    """Drop them; their values stay in the log."""
    op.execute("""
        ALTER TABLE batch_items
            DROP COLUMN charge_source,
            DROP COLUMN multiplicity_source;
    """)
