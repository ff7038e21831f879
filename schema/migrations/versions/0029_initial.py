"""Everything: the log, its functions and guards, the read models, roles and grants.

Its name is that of the last of the 29 migrations that it replaces, so that a database which they
made goes on from here.
"""

from quantum_forge.schema.migrations.frozen import run_sql

revision = "0029"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL beside this file."""
    run_sql(__file__)


def downgrade() -> None:
    """Run the SQL beside this file that undoes it."""
    run_sql(__file__, "_undo")
