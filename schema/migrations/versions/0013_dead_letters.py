"""Events that a projection leaves out because its table cannot take them."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0013_dead_letters")


def downgrade() -> None:
    """Drop what `upgrade` made, and have the tables that leave events out filled anew."""
    op.execute("""
        UPDATE projection_checkpoints SET fingerprint = 'of a table without dead letters'
         WHERE projection IN (SELECT projection FROM projection_dead_letters);
        DROP TABLE projection_dead_letters;
    """)
