"""Atoms without charge or forces: not every imported result has them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let what an imported result does not tell be null."""
    op.execute("""
        ALTER TABLE atomic_properties
            ALTER COLUMN partial_charge DROP NOT NULL,
            ALTER COLUMN force_x DROP NOT NULL,
            ALTER COLUMN force_y DROP NOT NULL,
            ALTER COLUMN force_z DROP NOT NULL;
    """)


def downgrade() -> None:
    """Require both again; rows without them are dropped, and come back with a rebuild."""
    op.execute("""
        DELETE FROM atomic_properties
         WHERE num_nulls(partial_charge, force_x, force_y, force_z) > 0;
        ALTER TABLE atomic_properties
            ALTER COLUMN partial_charge SET NOT NULL,
            ALTER COLUMN force_x SET NOT NULL,
            ALTER COLUMN force_y SET NOT NULL,
            ALTER COLUMN force_z SET NOT NULL;
    """)
