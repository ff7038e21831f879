"""Read models of people: accounts, sessions, keys, organisations, bookmarks."""

from quantum_forge.schema.migrations.frozen import drop_read_models, run_frozen

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = (
    "users",
    "user_profiles",
    "user_preferences",
    "user_sessions",
    "user_api_keys",
    "organizations",
    "organization_members",
    "bookmarks",
)


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0009_people")


def downgrade() -> None:
    """Drop what `upgrade` made."""
    drop_read_models(*TABLES)
