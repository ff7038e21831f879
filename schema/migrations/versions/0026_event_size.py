"""Appends refuse an event that is too large, or whose types have long names, and name it."""

from alembic import op

from quantum_forge.schema.migrations.frozen import replace_functions, run_frozen

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0026_event_size")


def downgrade() -> None:
    """Put back the functions as they were."""
    replace_functions("0001_log", "is_storable", "refuse_unstorable")
    replace_functions("0024_append_evidence", "append_batch", "append_events", "load_events")
    op.execute("""
        DROP FUNCTION refuse_unstorable(uuid, text, jsonb, jsonb, timestamptz);
        DROP FUNCTION refuse_long_name(uuid, text, text);
    """)
