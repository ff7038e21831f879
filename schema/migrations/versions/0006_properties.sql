CREATE TABLE molecule_properties_computed (
	tenant_id UUID NOT NULL, 
	molecule_id UUID NOT NULL, 
	molecular_weight DOUBLE PRECISION NOT NULL, 
	logp DOUBLE PRECISION NOT NULL, 
	hydrogen_bond_donors INTEGER NOT NULL, 
	hydrogen_bond_acceptors INTEGER NOT NULL, 
	rotatable_bonds INTEGER NOT NULL, 
	topological_polar_surface_area DOUBLE PRECISION NOT NULL, 
	molar_refractivity DOUBLE PRECISION NOT NULL, 
	qed DOUBLE PRECISION NOT NULL, 
	toolkit TEXT NOT NULL, 
	toolkit_version TEXT NOT NULL, 
	computed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT molecule_properties_computed_pkey PRIMARY KEY (tenant_id, molecule_id)
);

CREATE INDEX molecule_properties_computed_logp_idx ON molecule_properties_computed (tenant_id, logp);

CREATE INDEX molecule_properties_computed_weight_idx ON molecule_properties_computed (tenant_id, molecular_weight, logp);

COMMENT ON TABLE molecule_properties_computed IS 'One row per molecule whose descriptors a toolkit has computed';

COMMENT ON COLUMN molecule_properties_computed.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN molecule_properties_computed.molecule_id IS 'Its molecule';

COMMENT ON COLUMN molecule_properties_computed.molecular_weight IS 'Average molecular weight in g/mol';

COMMENT ON COLUMN molecule_properties_computed.logp IS 'Octanol-water partition coefficient (Crippen), log10';

COMMENT ON COLUMN molecule_properties_computed.hydrogen_bond_donors IS 'Hydrogen-bond donors';

COMMENT ON COLUMN molecule_properties_computed.hydrogen_bond_acceptors IS 'Hydrogen-bond acceptors';

COMMENT ON COLUMN molecule_properties_computed.rotatable_bonds IS 'Rotatable bonds';

COMMENT ON COLUMN molecule_properties_computed.topological_polar_surface_area IS 'Topological polar surface area in Å²';

COMMENT ON COLUMN molecule_properties_computed.molar_refractivity IS 'Molar refractivity (Crippen), m³/10⁶ mol';

COMMENT ON COLUMN molecule_properties_computed.qed IS 'Quantitative estimate of drug-likeness, 0 to 1';

COMMENT ON COLUMN molecule_properties_computed.toolkit IS 'Toolkit that computed them';

COMMENT ON COLUMN molecule_properties_computed.toolkit_version IS 'Version of that toolkit';

COMMENT ON COLUMN molecule_properties_computed.computed_at IS 'When they were computed';

COMMENT ON COLUMN molecule_properties_computed.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN molecule_properties_computed.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN molecule_properties_computed.last_position IS 'Position of the last event folded into the row';

ALTER TABLE molecule_properties_computed ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON molecule_properties_computed FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON molecule_properties_computed TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON molecule_properties_computed TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON molecule_properties_computed TO qforge_projector, qforge_admin;

CREATE TABLE batch_job_performance (
	tenant_id UUID NOT NULL, 
	batch_id UUID NOT NULL, 
	execution_start_time TIMESTAMP WITH TIME ZONE, 
	execution_end_time TIMESTAMP WITH TIME ZONE, 
	workers INTEGER, 
	successful_jobs BIGINT NOT NULL, 
	failed_jobs BIGINT NOT NULL, 
	invalidated_jobs BIGINT NOT NULL, 
	timeout_jobs BIGINT NOT NULL, 
	convergence_failure_jobs BIGINT NOT NULL, 
	untimed_jobs BIGINT NOT NULL, 
	total_job_time NUMERIC NOT NULL, 
	average_job_time DOUBLE PRECISION GENERATED ALWAYS AS (CAST(total_job_time / nullif(successful_jobs + failed_jobs + invalidated_jobs - untimed_jobs, 0) AS DOUBLE PRECISION)) STORED, 
	min_job_time DOUBLE PRECISION, 
	max_job_time DOUBLE PRECISION, 
	total_memory_mb NUMERIC NOT NULL, 
	unmeasured_jobs BIGINT NOT NULL, 
	average_memory_mb DOUBLE PRECISION GENERATED ALWAYS AS (CAST(total_memory_mb / nullif(successful_jobs - unmeasured_jobs, 0) AS DOUBLE PRECISION)) STORED, 
	total_cpu_time_seconds NUMERIC NOT NULL, 
	total_cpu_time_hours DOUBLE PRECISION GENERATED ALWAYS AS (CAST(total_cpu_time_seconds / 3600 AS DOUBLE PRECISION)) STORED, 
	parallelization_efficiency DOUBLE PRECISION GENERATED ALWAYS AS (CAST(total_job_time / nullif(extract(epoch FROM execution_end_time - execution_start_time) * workers, 0) AS DOUBLE PRECISION)) STORED, 
	error_breakdown JSONB NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT batch_job_performance_pkey PRIMARY KEY (tenant_id, batch_id)
);

CREATE INDEX batch_job_performance_start_idx ON batch_job_performance (tenant_id, execution_start_time);

COMMENT ON TABLE batch_job_performance IS 'One row per batch: what its jobs, the attempts at its calculations, took and how they ended';

COMMENT ON COLUMN batch_job_performance.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN batch_job_performance.batch_id IS 'The batch';

COMMENT ON COLUMN batch_job_performance.execution_start_time IS 'When its first runner began';

COMMENT ON COLUMN batch_job_performance.execution_end_time IS 'When its last runner ended; null while one works';

COMMENT ON COLUMN batch_job_performance.workers IS 'Worker processes of its last runner';

COMMENT ON COLUMN batch_job_performance.successful_jobs IS 'Attempts that completed';

COMMENT ON COLUMN batch_job_performance.failed_jobs IS 'Attempts that failed or were lost';

COMMENT ON COLUMN batch_job_performance.invalidated_jobs IS 'Results that physics or a person refused';

COMMENT ON COLUMN batch_job_performance.timeout_jobs IS 'Failed attempts that took too long';

COMMENT ON COLUMN batch_job_performance.convergence_failure_jobs IS 'Failed attempts that did not converge';

COMMENT ON COLUMN batch_job_performance.untimed_jobs IS 'Ended attempts of which no time is known';

COMMENT ON COLUMN batch_job_performance.total_job_time IS 'Wall time of all attempts in s';

COMMENT ON COLUMN batch_job_performance.average_job_time IS 'Mean wall time of an attempt in s, of those whose time is known';

COMMENT ON COLUMN batch_job_performance.min_job_time IS 'Wall time of the shortest attempt in s';

COMMENT ON COLUMN batch_job_performance.max_job_time IS 'Wall time of the longest attempt in s';

COMMENT ON COLUMN batch_job_performance.total_memory_mb IS 'Sum of the attempts'' peak memory in MB';

COMMENT ON COLUMN batch_job_performance.unmeasured_jobs IS 'Completed attempts of unknown peak memory';

COMMENT ON COLUMN batch_job_performance.average_memory_mb IS 'Mean peak memory of a completed attempt in MB';

COMMENT ON COLUMN batch_job_performance.total_cpu_time_seconds IS 'Processor time of completed attempts in s';

COMMENT ON COLUMN batch_job_performance.total_cpu_time_hours IS 'Processor time of completed attempts in h';

COMMENT ON COLUMN batch_job_performance.parallelization_efficiency IS 'Share of its workers'' time between start and end that attempts took: 1 is ideal';

COMMENT ON COLUMN batch_job_performance.error_breakdown IS 'Failed attempts by error type: {type: count}';

COMMENT ON COLUMN batch_job_performance.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN batch_job_performance.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN batch_job_performance.last_position IS 'Position of the last event folded into the row';

ALTER TABLE batch_job_performance ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON batch_job_performance FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON batch_job_performance TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON batch_job_performance TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON batch_job_performance TO qforge_projector, qforge_admin;

CREATE INDEX calculations_completed_gap_idx ON calculations (tenant_id, gap) WHERE status = 'completed';
