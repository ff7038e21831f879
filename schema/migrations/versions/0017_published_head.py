"""The safe head as a row, for readers on standby servers."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0017_published_head")


def downgrade() -> None:
    """Put the old safe_head back, and drop what `upgrade` made."""
    run_frozen("0017_published_head_undo")
    op.execute("""
        DROP FUNCTION publish_head();
        DROP TABLE published_head;
    """)
