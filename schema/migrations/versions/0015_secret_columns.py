"""Readers see no hash of a password, token or key, and no encrypted webhook."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SECRETS = {
    "users": "hashed_password",
    "user_preferences": "slack_webhook_url",
    "user_sessions": "token_hash",
    "user_api_keys": "key_hash",
    "subscription_keys": "key_hash",
}


def upgrade() -> None:
    """Grant every column but that one, instead of the table."""
    for table, secret in SECRETS.items():
        op.execute(f"""
            REVOKE SELECT ON {table} FROM qforge_reader;
            DO $$
            BEGIN
                EXECUTE (SELECT format('GRANT SELECT (%s) ON {table} TO qforge_reader',
                                       string_agg(quote_ident(attname), ', ' ORDER BY attnum))
                           FROM pg_attribute
                          WHERE attrelid = '{table}'::regclass AND attnum > 0
                            AND NOT attisdropped AND attname <> '{secret}');
            END
            $$;
        """)


def downgrade() -> None:
    """Grant the table, which takes the columns along."""
    for table in SECRETS:
        op.execute(f"""
            REVOKE SELECT ON {table} FROM qforge_reader;
            GRANT SELECT ON {table} TO qforge_reader;
        """)
