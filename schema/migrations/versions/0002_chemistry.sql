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
	completed_calculation_count BIGINT NOT NULL, 
	retracted_calculation_count BIGINT NOT NULL, 
	calculation_count BIGINT GENERATED ALWAYS AS (CAST(completed_calculation_count - retracted_calculation_count AS BIGINT)) STORED, 
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

COMMENT ON COLUMN molecules.completed_calculation_count IS 'Times that one of its calculations completed';

COMMENT ON COLUMN molecules.retracted_calculation_count IS 'Completed results that were invalidated later';

COMMENT ON COLUMN molecules.calculation_count IS 'Completed calculations that still count';

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

CREATE TABLE calculations (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	molecule_id UUID, 
	batch_id UUID, 
	user_id UUID, 
	status TEXT NOT NULL, 
	attempt INTEGER, 
	method TEXT, 
	solvation_model TEXT, 
	optimization_level TEXT, 
	charge INTEGER, 
	multiplicity INTEGER, 
	program TEXT, 
	program_version TEXT, 
	xyz_sha256 TEXT, 
	energy DOUBLE PRECISION, 
	homo DOUBLE PRECISION, 
	lumo DOUBLE PRECISION, 
	gap DOUBLE PRECISION, 
	dipole DOUBLE PRECISION, 
	convergence_status TEXT, 
	execution_time_seconds DOUBLE PRECISION, 
	started_at TIMESTAMP WITH TIME ZONE, 
	completed_at TIMESTAMP WITH TIME ZONE, 
	error_type TEXT, 
	error_message TEXT, 
	metadata JSONB, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT calculations_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed', 'lost', 'invalidated')), 
	CONSTRAINT energy_is_finite CHECK (energy BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308')
);

CREATE INDEX calculations_batch_idx ON calculations (tenant_id, batch_id);

CREATE INDEX calculations_energy_idx ON calculations (tenant_id, energy);

CREATE INDEX calculations_gap_idx ON calculations (tenant_id, gap);

CREATE INDEX calculations_method_idx ON calculations (tenant_id, method);

CREATE INDEX calculations_molecule_idx ON calculations (tenant_id, molecule_id, started_at);

CREATE INDEX calculations_started_idx ON calculations (tenant_id, started_at);

CREATE INDEX calculations_status_idx ON calculations (tenant_id, status);

COMMENT ON TABLE calculations IS 'One row per calculation: a molecule with a method and its settings';

COMMENT ON COLUMN calculations.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN calculations.id IS 'uuid5 of molecule and settings';

COMMENT ON COLUMN calculations.molecule_id IS 'Its molecule; null when the input could not be read as one';

COMMENT ON COLUMN calculations.batch_id IS 'The batch that last ran it';

COMMENT ON COLUMN calculations.user_id IS 'Who last asked for it';

COMMENT ON COLUMN calculations.status IS 'pending, running, completed, failed, lost or invalidated';

COMMENT ON COLUMN calculations.attempt IS 'Number of the latest attempt, from 1; 0 while none has begun';

COMMENT ON COLUMN calculations.method IS 'GFN2-xTB, GFN1-xTB or IPEA1-xTB';

COMMENT ON COLUMN calculations.solvation_model IS 'Implicit solvation as model(solvent); null in the gas phase';

COMMENT ON COLUMN calculations.optimization_level IS 'Level of the geometry optimisation; null for a single point';

COMMENT ON COLUMN calculations.charge IS 'Total charge in e';

COMMENT ON COLUMN calculations.multiplicity IS 'Spin multiplicity 2S+1';

COMMENT ON COLUMN calculations.program IS 'Program that computed it';

COMMENT ON COLUMN calculations.program_version IS 'Version of that program';

COMMENT ON COLUMN calculations.xyz_sha256 IS 'SHA-256 of the geometry in XYZ format';

COMMENT ON COLUMN calculations.energy IS 'Total energy in Eh';

COMMENT ON COLUMN calculations.homo IS 'Energy of the highest occupied orbital in eV';

COMMENT ON COLUMN calculations.lumo IS 'Energy of the lowest unoccupied orbital in eV';

COMMENT ON COLUMN calculations.gap IS 'lumo − homo in eV';

COMMENT ON COLUMN calculations.dipole IS 'Norm of the dipole moment in Debye';

COMMENT ON COLUMN calculations.convergence_status IS 'How the calculation converged';

COMMENT ON COLUMN calculations.execution_time_seconds IS 'Wall time of the latest attempt in s';

COMMENT ON COLUMN calculations.started_at IS 'When the latest attempt began';

COMMENT ON COLUMN calculations.completed_at IS 'When the latest attempt ended, well or badly';

COMMENT ON COLUMN calculations.error_type IS 'Why the latest attempt failed';

COMMENT ON COLUMN calculations.error_message IS 'What the latest failure said';

COMMENT ON COLUMN calculations.metadata IS 'Whatever else the events told, as they told it';

COMMENT ON COLUMN calculations.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN calculations.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN calculations.last_position IS 'Position of the last event folded into the row';

ALTER TABLE calculations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON calculations FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON calculations TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON calculations TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON calculations TO qforge_projector, qforge_admin;

CREATE TABLE atomic_properties (
	tenant_id UUID NOT NULL, 
	calculation_id UUID NOT NULL, 
	atom_index INTEGER NOT NULL, 
	element TEXT NOT NULL, 
	atomic_number INTEGER NOT NULL, 
	partial_charge DOUBLE PRECISION NOT NULL, 
	position_x DOUBLE PRECISION NOT NULL, 
	position_y DOUBLE PRECISION NOT NULL, 
	position_z DOUBLE PRECISION NOT NULL, 
	force_x DOUBLE PRECISION NOT NULL, 
	force_y DOUBLE PRECISION NOT NULL, 
	force_z DOUBLE PRECISION NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT atomic_properties_pkey PRIMARY KEY (tenant_id, calculation_id, atom_index), 
	CONSTRAINT atom_index_is_not_negative CHECK (atom_index >= 0), 
	CONSTRAINT atomic_number_is_positive CHECK (atomic_number > 0)
);

COMMENT ON TABLE atomic_properties IS 'One row per atom of a completed calculation';

COMMENT ON COLUMN atomic_properties.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN atomic_properties.calculation_id IS 'Its calculation';

COMMENT ON COLUMN atomic_properties.atom_index IS 'Place of the atom in the geometry, from 0';

COMMENT ON COLUMN atomic_properties.element IS 'Element symbol';

COMMENT ON COLUMN atomic_properties.atomic_number IS 'Atomic number';

COMMENT ON COLUMN atomic_properties.partial_charge IS 'Partial charge in e';

COMMENT ON COLUMN atomic_properties.position_x IS 'x in Å';

COMMENT ON COLUMN atomic_properties.position_y IS 'y in Å';

COMMENT ON COLUMN atomic_properties.position_z IS 'z in Å';

COMMENT ON COLUMN atomic_properties.force_x IS 'Force along x (−gradient) in Eh/Bohr';

COMMENT ON COLUMN atomic_properties.force_y IS 'Force along y (−gradient) in Eh/Bohr';

COMMENT ON COLUMN atomic_properties.force_z IS 'Force along z (−gradient) in Eh/Bohr';

COMMENT ON COLUMN atomic_properties.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN atomic_properties.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN atomic_properties.last_position IS 'Position of the last event folded into the row';

ALTER TABLE atomic_properties ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON atomic_properties FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON atomic_properties TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON atomic_properties TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON atomic_properties TO qforge_projector, qforge_admin;

CREATE TABLE calculation_execution_metrics (
	tenant_id UUID NOT NULL, 
	calculation_id UUID NOT NULL, 
	xtb_version TEXT, 
	method TEXT, 
	solvation_model TEXT, 
	optimization_level TEXT, 
	wall_time_seconds DOUBLE PRECISION, 
	cpu_time_seconds DOUBLE PRECISION, 
	scf_cycles INTEGER, 
	optimization_cycles INTEGER, 
	convergence_iterations INTEGER, 
	memory_peak_mb DOUBLE PRECISION, 
	is_converged BOOLEAN, 
	convergence_criterion_met DOUBLE PRECISION, 
	stdout_log TEXT, 
	stderr_log TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT calculation_execution_metrics_pkey PRIMARY KEY (tenant_id, calculation_id)
);

CREATE INDEX calculation_execution_metrics_method_idx ON calculation_execution_metrics (tenant_id, method, created_at);

COMMENT ON TABLE calculation_execution_metrics IS 'One row per calculation: what it cost and how it converged';

COMMENT ON COLUMN calculation_execution_metrics.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN calculation_execution_metrics.calculation_id IS 'Its calculation';

COMMENT ON COLUMN calculation_execution_metrics.xtb_version IS 'Program and version that computed it';

COMMENT ON COLUMN calculation_execution_metrics.method IS 'GFN2-xTB, GFN1-xTB or IPEA1-xTB';

COMMENT ON COLUMN calculation_execution_metrics.solvation_model IS 'Implicit solvation as model(solvent)';

COMMENT ON COLUMN calculation_execution_metrics.optimization_level IS 'Level of the geometry optimisation';

COMMENT ON COLUMN calculation_execution_metrics.wall_time_seconds IS 'Wall time in s';

COMMENT ON COLUMN calculation_execution_metrics.cpu_time_seconds IS 'Processor time in s';

COMMENT ON COLUMN calculation_execution_metrics.scf_cycles IS 'Self-consistent-field iterations';

COMMENT ON COLUMN calculation_execution_metrics.optimization_cycles IS 'Steps of the geometry optimisation';

COMMENT ON COLUMN calculation_execution_metrics.convergence_iterations IS 'Iterations until convergence, all in all';

COMMENT ON COLUMN calculation_execution_metrics.memory_peak_mb IS 'Peak memory in MB';

COMMENT ON COLUMN calculation_execution_metrics.is_converged IS 'Whether it converged';

COMMENT ON COLUMN calculation_execution_metrics.convergence_criterion_met IS 'Norm of the gradient in Eh/Bohr';

COMMENT ON COLUMN calculation_execution_metrics.stdout_log IS 'What the program printed';

COMMENT ON COLUMN calculation_execution_metrics.stderr_log IS 'What the program printed on stderr';

COMMENT ON COLUMN calculation_execution_metrics.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN calculation_execution_metrics.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN calculation_execution_metrics.last_position IS 'Position of the last event folded into the row';

ALTER TABLE calculation_execution_metrics ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON calculation_execution_metrics FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON calculation_execution_metrics TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON calculation_execution_metrics TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON calculation_execution_metrics TO qforge_projector, qforge_admin;

CREATE TABLE calculation_errors (
	tenant_id UUID NOT NULL, 
	id BIGINT NOT NULL, 
	calculation_id UUID NOT NULL, 
	molecule_id UUID, 
	error_type TEXT NOT NULL, 
	error_severity TEXT NOT NULL, 
	error_message TEXT NOT NULL, 
	error_code TEXT, 
	stack_trace TEXT, 
	retry_count INTEGER, 
	retry_attempts JSONB, 
	user_action_required BOOLEAN, 
	resolution_notes TEXT, 
	resolved_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT calculation_errors_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT error_type_is_known CHECK (error_type IN ('input_error', 'convergence_error', 'timeout', 'resource_error', 'random_error', 'compute_lost', 'unknown_error')), 
	CONSTRAINT error_severity_is_known CHECK (error_severity IN ('info', 'warning', 'error', 'critical'))
);

CREATE INDEX calculation_errors_calculation_idx ON calculation_errors (tenant_id, calculation_id);

CREATE INDEX calculation_errors_type_idx ON calculation_errors (tenant_id, error_type, created_at);

COMMENT ON TABLE calculation_errors IS 'One row per failed or lost attempt';

COMMENT ON COLUMN calculation_errors.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN calculation_errors.id IS 'Position of the event that recorded it';

COMMENT ON COLUMN calculation_errors.calculation_id IS 'The calculation that failed';

COMMENT ON COLUMN calculation_errors.molecule_id IS 'Its molecule; null when the input could not be read as one';

COMMENT ON COLUMN calculation_errors.error_type IS 'Why, as one of the known types';

COMMENT ON COLUMN calculation_errors.error_severity IS 'info, warning, error or critical';

COMMENT ON COLUMN calculation_errors.error_message IS 'What went wrong, for a person';

COMMENT ON COLUMN calculation_errors.error_code IS 'The program''s own code, if it has one';

COMMENT ON COLUMN calculation_errors.stack_trace IS 'Where it went wrong';

COMMENT ON COLUMN calculation_errors.retry_count IS 'Earlier attempts that failed';

COMMENT ON COLUMN calculation_errors.retry_attempts IS 'What is known of the earlier attempts';

COMMENT ON COLUMN calculation_errors.user_action_required IS 'Whether only a person can help';

COMMENT ON COLUMN calculation_errors.resolution_notes IS 'How it was dealt with';

COMMENT ON COLUMN calculation_errors.resolved_at IS 'When it was dealt with';

COMMENT ON COLUMN calculation_errors.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN calculation_errors.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN calculation_errors.last_position IS 'Position of the last event folded into the row';

ALTER TABLE calculation_errors ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON calculation_errors FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON calculation_errors TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON calculation_errors TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON calculation_errors TO qforge_projector, qforge_admin;

