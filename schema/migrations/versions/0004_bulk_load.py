"""Bulk loading through a staging table."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0004_bulk_load")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.execute("""DROP FUNCTION load_events(), prepare_load()""")
