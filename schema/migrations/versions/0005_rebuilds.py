"""Tables beside the live ones, for rebuilds."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0005_rebuilds")


def downgrade() -> None:
    """Drop what `upgrade` made, and with it unfinished shadows and kept tables."""
    op.execute("""
        DROP SCHEMA qforge_shadow, qforge_kept CASCADE;
        DROP TABLE projection_copies;
    """)
