CREATE TABLE molecules (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	smiles TEXT NOT NULL, 
	name TEXT, 
	formula TEXT NOT NULL, 
	inchikey TEXT, 
	charge INTEGER NOT NULL, 
	multiplicity INTEGER NOT NULL, 
	molecular_weight DOUBLE PRECISION NOT NULL, 
	generation_method TEXT NOT NULL, 
	project_id UUID, 
	user_id UUID, 
	toolkit TEXT NOT NULL, 
	toolkit_version TEXT NOT NULL, 
	calculation_count BIGINT NOT NULL, 
	failed_calculation_count BIGINT NOT NULL, 
	metadata JSONB, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT molecules_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT multiplicity_is_positive CHECK (multiplicity > 0), 
	CONSTRAINT molecular_weight_is_positive CHECK (molecular_weight > 0)
);

CREATE INDEX molecules_created_idx ON molecules (tenant_id, created_at);

CREATE UNIQUE INDEX molecules_identity_key ON molecules (tenant_id, md5(smiles), charge, multiplicity);

CREATE INDEX molecules_inchikey_idx ON molecules (tenant_id, inchikey);

CREATE INDEX molecules_smiles_idx ON molecules USING hash (smiles);

COMMENT ON TABLE molecules IS 'One row per molecule: canonical SMILES, charge and multiplicity';

COMMENT ON COLUMN molecules.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN molecules.id IS 'uuid5 of tenant, canonical SMILES, charge and multiplicity';

COMMENT ON COLUMN molecules.smiles IS 'Canonical SMILES';

COMMENT ON COLUMN molecules.name IS 'A name that people gave it';

COMMENT ON COLUMN molecules.formula IS 'Molecular formula in Hill order';

COMMENT ON COLUMN molecules.inchikey IS 'InChIKey; merges tautomers, so never an identity';

COMMENT ON COLUMN molecules.charge IS 'Total charge in e';

COMMENT ON COLUMN molecules.multiplicity IS 'Spin multiplicity 2S+1';

COMMENT ON COLUMN molecules.molecular_weight IS 'Molecular weight in g/mol';

COMMENT ON COLUMN molecules.generation_method IS 'manual, imported, MolGAN, …';

COMMENT ON COLUMN molecules.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN molecules.user_id IS 'Who created it';

COMMENT ON COLUMN molecules.toolkit IS 'Toolkit that canonicalised the SMILES';

COMMENT ON COLUMN molecules.toolkit_version IS 'Version of that toolkit';

COMMENT ON COLUMN molecules.calculation_count IS 'Completed calculations';

COMMENT ON COLUMN molecules.failed_calculation_count IS 'Attempts that failed or were lost';

COMMENT ON COLUMN molecules.metadata IS 'Whatever else the events told, as they told it';

COMMENT ON COLUMN molecules.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN molecules.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN molecules.last_position IS 'Position of the last event folded into the row';

ALTER TABLE molecules ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON molecules FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON molecules TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON molecules TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON molecules TO qforge_projector, qforge_admin;
