CREATE TABLE projects (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	user_id UUID, 
	name TEXT NOT NULL, 
	description TEXT, 
	disease_target TEXT, 
	molecule_count BIGINT NOT NULL, 
	prediction_count BIGINT NOT NULL, 
	structure_count BIGINT NOT NULL, 
	docking_count BIGINT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT projects_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX projects_name_idx ON projects (tenant_id, name);

CREATE INDEX projects_user_idx ON projects (tenant_id, user_id);

COMMENT ON TABLE projects IS 'One row per project';

COMMENT ON COLUMN projects.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN projects.id IS 'The project';

COMMENT ON COLUMN projects.user_id IS 'Who created it';

COMMENT ON COLUMN projects.name IS 'What people call it';

COMMENT ON COLUMN projects.description IS 'What it is about';

COMMENT ON COLUMN projects.disease_target IS 'What it is to treat or bind, in words';

COMMENT ON COLUMN projects.molecule_count IS 'Molecules in it';

COMMENT ON COLUMN projects.prediction_count IS 'ADMET predictions in it';

COMMENT ON COLUMN projects.structure_count IS 'Protein structures in it';

COMMENT ON COLUMN projects.docking_count IS 'Docking results in it';

COMMENT ON COLUMN projects.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN projects.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN projects.last_position IS 'Position of the last event folded into the row';

ALTER TABLE projects ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON projects FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON projects TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON projects TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON projects TO qforge_projector, qforge_admin;

CREATE TABLE admet_predictions (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	molecule_id UUID NOT NULL, 
	project_id UUID, 
	user_id UUID, 
	prediction_type TEXT NOT NULL, 
	results JSONB NOT NULL, 
	confidence_score DOUBLE PRECISION, 
	model_version TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT admet_predictions_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT prediction_type_is_known CHECK (prediction_type IN ('absorption', 'distribution', 'metabolism', 'excretion', 'toxicity')), 
	CONSTRAINT confidence_is_a_fraction CHECK (confidence_score BETWEEN 0 AND 1)
);

CREATE INDEX admet_predictions_molecule_idx ON admet_predictions (tenant_id, molecule_id, prediction_type);

CREATE INDEX admet_predictions_project_idx ON admet_predictions (tenant_id, project_id);

COMMENT ON TABLE admet_predictions IS 'One row per prediction of absorption, distribution, metabolism, excretion or toxicity';

COMMENT ON COLUMN admet_predictions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN admet_predictions.id IS 'The prediction';

COMMENT ON COLUMN admet_predictions.molecule_id IS 'Of which molecule';

COMMENT ON COLUMN admet_predictions.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN admet_predictions.user_id IS 'Who asked for it';

COMMENT ON COLUMN admet_predictions.prediction_type IS 'absorption, distribution, metabolism, excretion or toxicity';

COMMENT ON COLUMN admet_predictions.results IS 'As the model gave them';

COMMENT ON COLUMN admet_predictions.confidence_score IS 'How sure the model is, from 0 to 1';

COMMENT ON COLUMN admet_predictions.model_version IS 'Model and version that predicted it';

COMMENT ON COLUMN admet_predictions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN admet_predictions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN admet_predictions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE admet_predictions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON admet_predictions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON admet_predictions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON admet_predictions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON admet_predictions TO qforge_projector, qforge_admin;

CREATE TABLE protein_structures (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	project_id UUID, 
	user_id UUID, 
	sequence TEXT NOT NULL, 
	pdb_id TEXT, 
	pdb_file_s3_key TEXT, 
	structure_method TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT protein_structures_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT structure_method_is_known CHECK (structure_method IN ('ESMFold', 'RCSB', 'AlphaFold'))
);

CREATE INDEX protein_structures_pdb_idx ON protein_structures (tenant_id, pdb_id);

CREATE INDEX protein_structures_project_idx ON protein_structures (tenant_id, project_id);

COMMENT ON TABLE protein_structures IS 'One row per structure of a protein; the file itself is elsewhere';

COMMENT ON COLUMN protein_structures.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN protein_structures.id IS 'The structure';

COMMENT ON COLUMN protein_structures.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN protein_structures.user_id IS 'Who added it';

COMMENT ON COLUMN protein_structures.sequence IS 'Amino acids in one-letter code';

COMMENT ON COLUMN protein_structures.pdb_id IS 'Its entry in the Protein Data Bank';

COMMENT ON COLUMN protein_structures.pdb_file_s3_key IS 'Where the file is';

COMMENT ON COLUMN protein_structures.structure_method IS 'ESMFold, RCSB or AlphaFold';

COMMENT ON COLUMN protein_structures.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN protein_structures.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN protein_structures.last_position IS 'Position of the last event folded into the row';

ALTER TABLE protein_structures ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON protein_structures FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON protein_structures TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON protein_structures TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON protein_structures TO qforge_projector, qforge_admin;

CREATE TABLE docking_results (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	molecule_id UUID NOT NULL, 
	protein_id UUID NOT NULL, 
	project_id UUID, 
	user_id UUID, 
	binding_affinity DOUBLE PRECISION NOT NULL, 
	binding_pose_s3_key TEXT, 
	interactions JSONB, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT docking_results_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX docking_results_molecule_idx ON docking_results (tenant_id, molecule_id);

CREATE INDEX docking_results_project_idx ON docking_results (tenant_id, project_id);

CREATE INDEX docking_results_protein_idx ON docking_results (tenant_id, protein_id, binding_affinity);

COMMENT ON TABLE docking_results IS 'One row per docking of a molecule to a protein';

COMMENT ON COLUMN docking_results.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN docking_results.id IS 'The docking';

COMMENT ON COLUMN docking_results.molecule_id IS 'Which molecule';

COMMENT ON COLUMN docking_results.protein_id IS 'To which protein structure';

COMMENT ON COLUMN docking_results.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN docking_results.user_id IS 'Who asked for it';

COMMENT ON COLUMN docking_results.binding_affinity IS 'Binding affinity in kcal/mol, the lower the stronger';

COMMENT ON COLUMN docking_results.binding_pose_s3_key IS 'Where the pose is';

COMMENT ON COLUMN docking_results.interactions IS 'Hydrogen bonds, contacts, … as the program gave them';

COMMENT ON COLUMN docking_results.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN docking_results.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN docking_results.last_position IS 'Position of the last event folded into the row';

ALTER TABLE docking_results ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON docking_results FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON docking_results TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON docking_results TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON docking_results TO qforge_projector, qforge_admin;

