"""How a calculation's structure was made, and its largest force."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which are null in rows of before."""
    op.execute("""
        ALTER TABLE calculations
            ADD COLUMN geometry_source TEXT,
            ADD COLUMN geometry_warning TEXT,
            ADD COLUMN max_force DOUBLE PRECISION;
        COMMENT ON COLUMN calculations.geometry_source IS
            'How the structure was made, as ETKDGv3+MMFF94; null for a given geometry';
        COMMENT ON COLUMN calculations.geometry_warning IS
            'Why a structure so made is doubtful';
        COMMENT ON COLUMN calculations.max_force IS 'Largest force on an atom in Eh/Bohr';
    """)


def downgrade() -> None:
    """Drop them; their values stay in the log."""
    op.execute("""
        ALTER TABLE calculations
            DROP COLUMN geometry_source,
            DROP COLUMN geometry_warning,
            DROP COLUMN max_force;
    """)
