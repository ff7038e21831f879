"""Read models of the quantum hub."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0012_hub")


def downgrade() -> None:
    """Drop what `upgrade` made, and that it was ever filled."""
    op.execute("""
        DROP TABLE quantum_apps, app_versions, marketplace_listings, subscriptions,
                   subscription_keys, platforms, devices, jobs, job_results;
        DELETE FROM projection_checkpoints
         WHERE projection IN ('quantum_apps', 'app_versions', 'marketplace_listings',
                              'subscriptions', 'subscription_keys', 'platforms', 'devices',
                              'jobs', 'job_results');
    """)
