"""Read models of drug discovery, and an index for the molecules of a project."""

from alembic import op

from quantum_forge.schema.migrations.frozen import run_frozen

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL frozen beside this file."""
    run_frozen("0011_discovery")
    op.execute("""
        CREATE INDEX molecules_project_idx ON molecules (tenant_id, project_id)
         WHERE project_id IS NOT NULL
    """)


def downgrade() -> None:
    """Drop what `upgrade` made, and that it was ever filled."""
    op.execute("""
        DROP INDEX molecules_project_idx;
        DROP TABLE projects, admet_predictions, protein_structures, docking_results;
        DELETE FROM projection_checkpoints
         WHERE projection IN ('projects', 'admet_predictions', 'protein_structures',
                              'docking_results');
    """)
