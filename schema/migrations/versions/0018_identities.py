"""Molecules without a SMILES, and whether charge and multiplicity were given or assumed."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, which are null in rows of before, and let a SMILES be null."""
    op.execute("""
        ALTER TABLE molecules
            ALTER COLUMN smiles DROP NOT NULL,
            ADD COLUMN identity TEXT,
            ADD COLUMN identity_key TEXT,
            ADD CONSTRAINT identity_is_known
                CHECK (identity IN ('given', 'perceived', 'geometry')),
            ADD CONSTRAINT has_either_smiles_or_identity_key
                CHECK (num_nonnulls(smiles, identity_key) = 1);
        DROP INDEX molecules_identity_key;
        CREATE UNIQUE INDEX molecules_identity_key
            ON molecules (tenant_id, md5(coalesce(smiles, identity_key)), charge, multiplicity);
        COMMENT ON TABLE molecules IS
            'One row per molecule: canonical SMILES or connectivity, charge and multiplicity';
        COMMENT ON COLUMN molecules.id IS
            'uuid5 of tenant, SMILES or identity_key, charge and multiplicity';
        COMMENT ON COLUMN molecules.smiles IS
            'Canonical SMILES; null for what is known by its identity_key';
        COMMENT ON COLUMN molecules.toolkit IS 'What canonicalised the SMILES or made the key';
        COMMENT ON COLUMN molecules.identity IS
            'Identified first by given, perceived or geometry';
        COMMENT ON COLUMN molecules.identity_key IS 'Key of the connectivity; null with a SMILES';

        ALTER TABLE calculations
            ADD COLUMN identity TEXT,
            ADD COLUMN charge_source TEXT,
            ADD COLUMN multiplicity_source TEXT,
            ADD COLUMN warnings JSONB,
            ADD CONSTRAINT identity_is_known
                CHECK (identity IN ('given', 'perceived', 'geometry')),
            ADD CONSTRAINT charge_source_is_known
                CHECK (charge_source IN ('given', 'assumed')),
            ADD CONSTRAINT multiplicity_source_is_known
                CHECK (multiplicity_source IN ('given', 'assumed'));
        COMMENT ON COLUMN calculations.identity IS
            'How its molecule was identified: given, perceived, geometry';
        COMMENT ON COLUMN calculations.charge_source IS
            'Whether the charge was given or assumed';
        COMMENT ON COLUMN calculations.multiplicity_source IS
            'Whether multiplicity was given or assumed';
        COMMENT ON COLUMN calculations.warnings IS
            'Why what was assumed may be wrong, as a list of texts';
    """)


def downgrade() -> None:
    """Drop them; rows of molecules without a SMILES go, and come back with a rebuild."""
    op.execute("""
        ALTER TABLE calculations
            DROP COLUMN identity,
            DROP COLUMN charge_source,
            DROP COLUMN multiplicity_source,
            DROP COLUMN warnings;

        DELETE FROM molecules WHERE smiles IS NULL;
        DROP INDEX molecules_identity_key;
        ALTER TABLE molecules
            DROP COLUMN identity,
            DROP COLUMN identity_key,
            ALTER COLUMN smiles SET NOT NULL;
        CREATE UNIQUE INDEX molecules_identity_key
            ON molecules (tenant_id, md5(smiles), charge, multiplicity);
        COMMENT ON TABLE molecules IS
            'One row per molecule: canonical SMILES, charge and multiplicity';
        COMMENT ON COLUMN molecules.id IS
            'uuid5 of tenant, canonical SMILES, charge and multiplicity';
        COMMENT ON COLUMN molecules.smiles IS 'Canonical SMILES';
        COMMENT ON COLUMN molecules.toolkit IS 'Toolkit that canonicalised the SMILES';
    """)
