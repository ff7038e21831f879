"""The log: events, stream heads, checkpoints and the functions that guard them."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0001_log")
    op.execute(
        "GRANT SELECT ON alembic_version"
        " TO qforge_appender, qforge_projector, qforge_reader, qforge_auditor, qforge_admin"
    )


def downgrade() -> None:
    """Drop what `upgrade` made; the roles belong to the whole server and stay."""
    op.execute("""
        DROP FUNCTION append_events, append_batch, refuse_version, refuse_incomplete_event,
                      refuse_reused_event_id, refuse_tenant, is_storable, refuse_unstorable,
                      maintain_event_partitions,
                      event_partitions, create_event_partition, safe_head,
                      last_assigned_position, append_lock_key;
        DROP TABLE projection_checkpoints, event_streams, event_logs;
        DROP FUNCTION refuse_change, merge_tallies, upcast_payload, current_tenant,
                      acts_for_every_tenant;
        DROP AGGREGATE merge_payloads(jsonb);
        REVOKE ALL ON alembic_version
          FROM qforge_appender, qforge_projector, qforge_reader, qforge_auditor, qforge_admin;
    """)
