"""What waits on machines, and the views of the system's health and size."""

from alembic import op

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0014_system")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    op.execute("""
        DROP VIEW system_health, database_stats;
        DROP FUNCTION count_visible_events(timestamptz), count_visible_events_by_type(),
                      count_visible_rows(regclass);
    """)
    drop_read_models("spools")
