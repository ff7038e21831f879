-- What may be done is granted to these; a login is made a member of one. They belong to the whole
-- server, so another database may have made them already, and going down leaves them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['qforge_appender', 'qforge_projector', 'qforge_reader',
                                'qforge_auditor', 'qforge_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- another database's migration made it at the same moment
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % is missing and may not be made by %', name, session_user
                        USING ERRCODE = 'QF006',
                              HINT = 'Let an administrator run what `qforge db roles --sql` prints.';
            END;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        -- A login that an administrator bound to a tenant cannot leave it:
        -- ALTER ROLE alice SET qforge.tenant_id = '…'.
        (SELECT substr(setting, length('qforge.tenant_id=') + 1)
           FROM pg_db_role_setting AS s
           JOIN pg_roles AS r ON r.oid = s.setrole
          CROSS JOIN unnest(s.setconfig) AS setting
          WHERE r.rolname = session_user
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND starts_with(setting, 'qforge.tenant_id=')
          ORDER BY s.setdatabase DESC
          LIMIT 1),
        -- A gateway's claims go before what a session says of itself.
        CASE WHEN coalesce(current_setting('request.jwt.claims', true), '') <> ''
             THEN current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id'
             ELSE nullif(current_setting('qforge.tenant_id', true), '')
        END)::uuid
$$;

COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the claims of a gateway
(request.jwt.claims), or else the setting qforge.tenant_id; null sees nothing';

CREATE FUNCTION acts_for_every_tenant() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_admin'::name, 'USAGE');

COMMENT ON FUNCTION acts_for_every_tenant() IS
    'Whether the caller administers; asked within a security-definer function, where current_user
is its owner';

CREATE TABLE activity_logs (
	tenant_id UUID NOT NULL,
	id BIGINT NOT NULL,
	user_id UUID NOT NULL,
	action TEXT NOT NULL,
	entity_type TEXT NOT NULL,
	entity_id UUID NOT NULL,
	details JSONB NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT activity_logs_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX activity_logs_entity_idx ON activity_logs (tenant_id, entity_id, created_at);

CREATE INDEX activity_logs_user_idx ON activity_logs (tenant_id, user_id, created_at);

COMMENT ON TABLE activity_logs IS 'One row per event that a user caused';

COMMENT ON COLUMN activity_logs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN activity_logs.id IS 'Position of the event in the log, where its payload is';

COMMENT ON COLUMN activity_logs.user_id IS 'Who did it';

COMMENT ON COLUMN activity_logs.action IS 'The event''s type';

COMMENT ON COLUMN activity_logs.entity_type IS 'What it happened to';

COMMENT ON COLUMN activity_logs.entity_id IS 'Which one';

COMMENT ON COLUMN activity_logs.details IS 'The event''s short facts: no lists, no objects, no secrets, texts cut to 200 characters';

COMMENT ON COLUMN activity_logs.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN activity_logs.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN activity_logs.last_position IS 'Position of the last event folded into the row';

ALTER TABLE activity_logs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON activity_logs FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON activity_logs TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON activity_logs TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON activity_logs TO qforge_projector, qforge_admin;

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

CREATE TABLE api_usage_logs (
	tenant_id UUID NOT NULL,
	id BIGINT NOT NULL,
	user_id UUID,
	endpoint TEXT NOT NULL,
	method TEXT NOT NULL,
	status_code INTEGER NOT NULL,
	response_time_ms DOUBLE PRECISION NOT NULL,
	request_size_bytes BIGINT,
	response_size_bytes BIGINT,
	error_message TEXT,
	query_parameters JSONB,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT api_usage_logs_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT status_code_is_http CHECK (status_code BETWEEN 100 AND 599),
	CONSTRAINT response_time_is_not_negative CHECK (response_time_ms >= 0)
);

CREATE INDEX api_usage_logs_created_idx ON api_usage_logs (tenant_id, created_at);

CREATE INDEX api_usage_logs_endpoint_idx ON api_usage_logs (tenant_id, endpoint, created_at);

CREATE INDEX api_usage_logs_user_idx ON api_usage_logs (tenant_id, user_id, created_at);

COMMENT ON TABLE api_usage_logs IS 'One row per API request';

COMMENT ON COLUMN api_usage_logs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN api_usage_logs.id IS 'Position of its event in the log';

COMMENT ON COLUMN api_usage_logs.user_id IS 'Who asked; null for somebody not signed in';

COMMENT ON COLUMN api_usage_logs.endpoint IS 'Path of the request, without its parameters';

COMMENT ON COLUMN api_usage_logs.method IS 'GET, POST, …';

COMMENT ON COLUMN api_usage_logs.status_code IS 'HTTP status of the answer';

COMMENT ON COLUMN api_usage_logs.response_time_ms IS 'Time until the answer, in ms';

COMMENT ON COLUMN api_usage_logs.request_size_bytes IS 'Size of the request, in bytes';

COMMENT ON COLUMN api_usage_logs.response_size_bytes IS 'Size of the answer, in bytes';

COMMENT ON COLUMN api_usage_logs.error_message IS 'What went wrong';

COMMENT ON COLUMN api_usage_logs.query_parameters IS 'Parameters of the request, without secrets';

COMMENT ON COLUMN api_usage_logs.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN api_usage_logs.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN api_usage_logs.last_position IS 'Position of the last event folded into the row';

ALTER TABLE api_usage_logs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON api_usage_logs FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON api_usage_logs TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON api_usage_logs TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON api_usage_logs TO qforge_projector, qforge_admin;

CREATE TABLE app_versions (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	app_id UUID NOT NULL,
	version TEXT NOT NULL,
	changelog TEXT,
	artifact_key TEXT NOT NULL,
	user_id UUID,
	published_at TIMESTAMP WITH TIME ZONE NOT NULL,
	yanked_at TIMESTAMP WITH TIME ZONE,
	yank_reason TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT app_versions_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX app_versions_app_idx ON app_versions (tenant_id, app_id, published_at);

COMMENT ON TABLE app_versions IS 'One row per published version of an app';

COMMENT ON COLUMN app_versions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN app_versions.id IS 'uuid5 of app and version';

COMMENT ON COLUMN app_versions.app_id IS 'Of which app';

COMMENT ON COLUMN app_versions.version IS 'Its number';

COMMENT ON COLUMN app_versions.changelog IS 'What is new';

COMMENT ON COLUMN app_versions.artifact_key IS 'Where its code is';

COMMENT ON COLUMN app_versions.user_id IS 'Who published it';

COMMENT ON COLUMN app_versions.published_at IS 'From when on it could be run';

COMMENT ON COLUMN app_versions.yanked_at IS 'From when on it must not be run';

COMMENT ON COLUMN app_versions.yank_reason IS 'Why it must not be run';

COMMENT ON COLUMN app_versions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN app_versions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN app_versions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE app_versions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON app_versions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON app_versions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON app_versions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON app_versions TO qforge_projector, qforge_admin;

CREATE TABLE atomic_properties (
	tenant_id UUID NOT NULL,
	calculation_id UUID NOT NULL,
	atom_index INTEGER NOT NULL,
	element TEXT NOT NULL,
	atomic_number INTEGER NOT NULL,
	partial_charge DOUBLE PRECISION,
	position_x DOUBLE PRECISION NOT NULL,
	position_y DOUBLE PRECISION NOT NULL,
	position_z DOUBLE PRECISION NOT NULL,
	force_x DOUBLE PRECISION,
	force_y DOUBLE PRECISION,
	force_z DOUBLE PRECISION,
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

CREATE TABLE batch_item_names (
	tenant_id UUID NOT NULL,
	batch_id UUID NOT NULL,
	calculation_id UUID NOT NULL,
	name TEXT NOT NULL,
	molecule_id UUID,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT batch_item_names_pkey PRIMARY KEY (tenant_id, batch_id, calculation_id, name)
);

CREATE INDEX batch_item_names_name_idx ON batch_item_names (tenant_id, name);

COMMENT ON TABLE batch_item_names IS 'One row per name that a batch''s inputs give to a calculation''s molecule';

COMMENT ON COLUMN batch_item_names.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN batch_item_names.batch_id IS 'The batch';

COMMENT ON COLUMN batch_item_names.calculation_id IS 'The calculation';

COMMENT ON COLUMN batch_item_names.name IS 'The name';

COMMENT ON COLUMN batch_item_names.molecule_id IS 'Its molecule; null when the input could not be read as one';

COMMENT ON COLUMN batch_item_names.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN batch_item_names.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN batch_item_names.last_position IS 'Position of the last event folded into the row';

ALTER TABLE batch_item_names ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON batch_item_names FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON batch_item_names TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON batch_item_names TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON batch_item_names TO qforge_projector, qforge_admin;

CREATE TABLE batch_items (
	tenant_id UUID NOT NULL,
	batch_id UUID NOT NULL,
	calculation_id UUID NOT NULL,
	molecule_id UUID,
	name TEXT,
	status TEXT,
	retry_count BIGINT NOT NULL,
	error_message TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	charge_source TEXT,
	multiplicity_source TEXT,
	CONSTRAINT batch_items_pkey PRIMARY KEY (tenant_id, batch_id, calculation_id),
	CONSTRAINT item_charge_source_is_known CHECK (charge_source IN ('given', 'assumed')),
	CONSTRAINT item_multiplicity_source_is_known CHECK (multiplicity_source IN ('given', 'assumed')),
	CONSTRAINT item_status_is_known CHECK (status IN ('pending', 'processing', 'completed', 'failed'))
);

CREATE INDEX batch_items_calculation_idx ON batch_items (tenant_id, calculation_id);

CREATE INDEX batch_items_status_idx ON batch_items (tenant_id, batch_id, status);

COMMENT ON TABLE batch_items IS 'One row per calculation that belongs to a batch, whichever batch computed it';

COMMENT ON COLUMN batch_items.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN batch_items.batch_id IS 'The batch';

COMMENT ON COLUMN batch_items.calculation_id IS 'The calculation';

COMMENT ON COLUMN batch_items.molecule_id IS 'Its molecule; null when the input could not be read as one';

COMMENT ON COLUMN batch_items.name IS 'What the batch''s input calls the molecule; of several names the last';

COMMENT ON COLUMN batch_items.status IS 'pending, processing, completed or failed, as far as this batch knows; what holds now is in calculations; null for what was named and never added';

COMMENT ON COLUMN batch_items.retry_count IS 'Attempts in this batch that failed or were lost';

COMMENT ON COLUMN batch_items.error_message IS 'What the latest failure said';

COMMENT ON COLUMN batch_items.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN batch_items.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN batch_items.last_position IS 'Position of the last event folded into the row';

COMMENT ON COLUMN batch_items.charge_source IS 'given where an input of the batch states the charge, else assumed';

COMMENT ON COLUMN batch_items.multiplicity_source IS 'given where an input of the batch states the multiplicity, else assumed';

ALTER TABLE batch_items ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON batch_items FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON batch_items TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON batch_items TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON batch_items TO qforge_projector, qforge_admin;

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

CREATE TABLE batch_jobs (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	name TEXT NOT NULL,
	user_id UUID,
	status TEXT NOT NULL,
	parameters JSONB NOT NULL,
	source TEXT,
	total_count BIGINT NOT NULL,
	successful_count BIGINT,
	failed_count BIGINT,
	started_at TIMESTAMP WITH TIME ZONE,
	completed_at TIMESTAMP WITH TIME ZONE,
	metadata JSONB,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT batch_jobs_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT batch_status_is_known CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled'))
);

CREATE INDEX batch_jobs_name_idx ON batch_jobs (tenant_id, name);

CREATE INDEX batch_jobs_status_idx ON batch_jobs (tenant_id, status);

COMMENT ON TABLE batch_jobs IS 'One row per batch';

COMMENT ON COLUMN batch_jobs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN batch_jobs.id IS 'uuid5 of tenant, name, parameters and source; once of tenant and name';

COMMENT ON COLUMN batch_jobs.name IS 'What people call it';

COMMENT ON COLUMN batch_jobs.user_id IS 'Who started it';

COMMENT ON COLUMN batch_jobs.status IS 'pending, processing, completed, failed or cancelled';

COMMENT ON COLUMN batch_jobs.parameters IS 'Method, charge, solvent, … of its calculations';

COMMENT ON COLUMN batch_jobs.source IS 'The file whose batch it is, as host:/path; null if it was named';

COMMENT ON COLUMN batch_jobs.total_count IS 'Its items, of all its runs and files; while it runs, at least the inputs of the last run';

COMMENT ON COLUMN batch_jobs.successful_count IS 'Completed, as last reported by its runner';

COMMENT ON COLUMN batch_jobs.failed_count IS 'Failed, lost or invalidated, as last reported by its runner';

COMMENT ON COLUMN batch_jobs.started_at IS 'When it first began';

COMMENT ON COLUMN batch_jobs.completed_at IS 'When it last ended, well or badly';

COMMENT ON COLUMN batch_jobs.metadata IS 'Whatever else the events told, as they told it';

COMMENT ON COLUMN batch_jobs.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN batch_jobs.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN batch_jobs.last_position IS 'Position of the last event folded into the row';

ALTER TABLE batch_jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON batch_jobs FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON batch_jobs TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON batch_jobs TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON batch_jobs TO qforge_projector, qforge_admin;

CREATE TABLE bookmarks (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	user_id UUID NOT NULL,
	entity_type TEXT NOT NULL,
	entity_id UUID NOT NULL,
	label TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT bookmarks_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX bookmarks_user_idx ON bookmarks (tenant_id, user_id, created_at);

COMMENT ON TABLE bookmarks IS 'One row per thing that a person marked to find it again';

COMMENT ON COLUMN bookmarks.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN bookmarks.id IS 'uuid5 of tenant, person and thing';

COMMENT ON COLUMN bookmarks.user_id IS 'Who marked it';

COMMENT ON COLUMN bookmarks.entity_type IS 'What kind of thing it is';

COMMENT ON COLUMN bookmarks.entity_id IS 'Which one';

COMMENT ON COLUMN bookmarks.label IS 'What the person calls it';

COMMENT ON COLUMN bookmarks.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN bookmarks.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN bookmarks.last_position IS 'Position of the last event folded into the row';

ALTER TABLE bookmarks ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON bookmarks FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON bookmarks TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON bookmarks TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON bookmarks TO qforge_projector, qforge_admin;

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
	identity TEXT,
	charge_source TEXT,
	multiplicity_source TEXT,
	warnings JSONB,
	geometry_source TEXT,
	geometry_warning TEXT,
	max_force DOUBLE PRECISION,
	CONSTRAINT calculations_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT identity_is_known CHECK (identity IN ('given', 'perceived', 'geometry')),
	CONSTRAINT charge_source_is_known CHECK (charge_source IN ('given', 'assumed')),
	CONSTRAINT multiplicity_source_is_known CHECK (multiplicity_source IN ('given', 'assumed')),
	CONSTRAINT status_is_known CHECK (status IN ('pending', 'running', 'completed', 'failed', 'lost', 'invalidated')),
	CONSTRAINT energy_is_finite CHECK (energy BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308')
);

CREATE INDEX calculations_batch_idx ON calculations (tenant_id, batch_id);

CREATE INDEX calculations_completed_gap_idx ON calculations (tenant_id, gap) WHERE status = 'completed';

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

COMMENT ON COLUMN calculations.batch_id IS 'The batch that last ran it; its batches are in batch_items';

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

COMMENT ON COLUMN calculations.identity IS 'How its molecule was identified: given, perceived, geometry';

COMMENT ON COLUMN calculations.charge_source IS 'Whether the charge was given or assumed';

COMMENT ON COLUMN calculations.multiplicity_source IS 'Whether multiplicity was given or assumed';

COMMENT ON COLUMN calculations.warnings IS 'Why what was assumed may be wrong, as a list of texts';

COMMENT ON COLUMN calculations.geometry_source IS 'How the structure was made, as ETKDGv3+MMFF94; null for a given geometry';

COMMENT ON COLUMN calculations.geometry_warning IS 'Why a structure so made is doubtful';

COMMENT ON COLUMN calculations.max_force IS 'Largest force on an atom in Eh/Bohr';

ALTER TABLE calculations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON calculations FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON calculations TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON calculations TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON calculations TO qforge_projector, qforge_admin;

CREATE TABLE devices (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	platform_id UUID NOT NULL,
	name TEXT NOT NULL,
	qubits INTEGER NOT NULL,
	status TEXT NOT NULL,
	status_reason TEXT,
	properties JSONB,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT devices_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT device_status_is_known CHECK (status IN ('online', 'offline', 'maintenance')),
	CONSTRAINT device_has_qubits CHECK (qubits > 0)
);

CREATE INDEX devices_platform_idx ON devices (tenant_id, platform_id);

CREATE INDEX devices_status_idx ON devices (tenant_id, status);

COMMENT ON TABLE devices IS 'One row per quantum device';

COMMENT ON COLUMN devices.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN devices.id IS 'The device';

COMMENT ON COLUMN devices.platform_id IS 'Of which platform';

COMMENT ON COLUMN devices.name IS 'What it is called';

COMMENT ON COLUMN devices.qubits IS 'How many qubits it has';

COMMENT ON COLUMN devices.status IS 'online, offline or maintenance';

COMMENT ON COLUMN devices.status_reason IS 'Why it is so';

COMMENT ON COLUMN devices.properties IS 'Topology, error rates, … as the platform tells them';

COMMENT ON COLUMN devices.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN devices.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN devices.last_position IS 'Position of the last event folded into the row';

ALTER TABLE devices ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON devices FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON devices TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON devices TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON devices TO qforge_projector, qforge_admin;

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

CREATE TABLE errors (
	tenant_id UUID NOT NULL,
	id BIGINT NOT NULL,
	service TEXT NOT NULL,
	severity TEXT NOT NULL,
	error_type TEXT NOT NULL,
	message TEXT NOT NULL,
	stack_trace TEXT,
	context JSONB,
	correlated_id UUID,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT errors_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT severity_of_error_is_known CHECK (severity IN ('info', 'warning', 'error', 'critical'))
);

CREATE INDEX errors_service_idx ON errors (tenant_id, service, created_at);

CREATE INDEX errors_type_idx ON errors (tenant_id, error_type, created_at);

COMMENT ON TABLE errors IS 'One row per error that a service met';

COMMENT ON COLUMN errors.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN errors.id IS 'Position of its event in the log';

COMMENT ON COLUMN errors.service IS 'Who met it';

COMMENT ON COLUMN errors.severity IS 'info, warning, error or critical';

COMMENT ON COLUMN errors.error_type IS 'What kind it is';

COMMENT ON COLUMN errors.message IS 'What it said';

COMMENT ON COLUMN errors.stack_trace IS 'Where it was raised';

COMMENT ON COLUMN errors.context IS 'What the service knew when it met it';

COMMENT ON COLUMN errors.correlated_id IS 'The entity that it concerned';

COMMENT ON COLUMN errors.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN errors.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN errors.last_position IS 'Position of the last event folded into the row';

ALTER TABLE errors ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON errors FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON errors TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON errors TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON errors TO qforge_projector, qforge_admin;

CREATE SEQUENCE event_logs_id_seq AS BIGINT CACHE 1;

CREATE TABLE event_logs (
	id BIGINT DEFAULT nextval('event_logs_id_seq') NOT NULL,
	event_id UUID NOT NULL,
	tenant_id UUID NOT NULL,
	entity_type TEXT NOT NULL,
	entity_id UUID NOT NULL,
	version INTEGER NOT NULL,
	event_type TEXT NOT NULL,
	schema_version SMALLINT NOT NULL,
	data JSONB NOT NULL,
	metadata JSONB NOT NULL,
	user_id UUID,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT event_logs_pkey PRIMARY KEY (id)
)
 PARTITION BY RANGE (id);

ALTER SEQUENCE event_logs_id_seq OWNED BY event_logs.id;

CREATE INDEX event_logs_event_id_idx ON event_logs (event_id);

CREATE INDEX event_logs_stream_idx ON event_logs (entity_id, version);

CREATE INDEX event_logs_times_idx ON event_logs USING brin ((id + 0), recorded_at, occurred_at) WITH (autosummarize = on);

CREATE INDEX event_logs_type_idx ON event_logs (event_type, id);

CREATE INDEX event_logs_user_idx ON event_logs (user_id, id) WHERE user_id IS NOT NULL;

COMMENT ON TABLE event_logs IS 'Every action as an event; append-only; everything else is derived from it';

COMMENT ON COLUMN event_logs.id IS 'Position in the log; grows, has gaps';

COMMENT ON COLUMN event_logs.event_id IS 'The client''s id of the event (UUIDv7); a retry repeats it';

COMMENT ON COLUMN event_logs.tenant_id IS 'Who owns the data';

COMMENT ON COLUMN event_logs.entity_type IS 'What kind of thing it happened to';

COMMENT ON COLUMN event_logs.entity_id IS 'Which thing; with tenant and type, the stream';

COMMENT ON COLUMN event_logs.version IS '1, 2, … within the stream, dense';

COMMENT ON COLUMN event_logs.event_type IS 'What happened';

COMMENT ON COLUMN event_logs.schema_version IS 'Version of the event type''s fields';

COMMENT ON COLUMN event_logs.data IS 'The event''s own facts';

COMMENT ON COLUMN event_logs.metadata IS 'host, service, program versions, ip, correlation_id, …';

COMMENT ON COLUMN event_logs.user_id IS 'Who did it; null for the system itself';

COMMENT ON COLUMN event_logs.occurred_at IS 'When it happened, by the client''s clock';

COMMENT ON COLUMN event_logs.recorded_at IS 'When it was appended, by the database''s clock';

CREATE TABLE event_streams (
	tenant_id UUID NOT NULL,
	entity_type TEXT NOT NULL,
	entity_id UUID NOT NULL,
	version INTEGER NOT NULL,
	first_position BIGINT NOT NULL,
	CONSTRAINT event_streams_pkey PRIMARY KEY (tenant_id, entity_type, entity_id),
	CONSTRAINT head_version_is_positive CHECK (version > 0)
)
 WITH (fillfactor = 80);

COMMENT ON TABLE event_streams IS 'The head of each stream; an append locks the heads that it touches';

COMMENT ON COLUMN event_streams.tenant_id IS 'Who owns the stream';

COMMENT ON COLUMN event_streams.entity_type IS 'What kind of thing';

COMMENT ON COLUMN event_streams.entity_id IS 'Which thing';

COMMENT ON COLUMN event_streams.version IS 'Version of the stream''s last event';

COMMENT ON COLUMN event_streams.first_position IS 'No event of the stream lies below it';

CREATE TABLE job_results (
	tenant_id UUID NOT NULL,
	job_id UUID NOT NULL,
	counts JSONB NOT NULL,
	fidelity DOUBLE PRECISION,
	execution_time_seconds DOUBLE PRECISION NOT NULL,
	result_key TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT job_results_pkey PRIMARY KEY (tenant_id, job_id),
	CONSTRAINT fidelity_is_a_fraction CHECK (fidelity BETWEEN 0 AND 1),
	CONSTRAINT execution_time_is_not_negative CHECK (execution_time_seconds >= 0)
);

COMMENT ON TABLE job_results IS 'One row per completed job';

COMMENT ON COLUMN job_results.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN job_results.job_id IS 'The job';

COMMENT ON COLUMN job_results.counts IS 'How often each bit string was measured';

COMMENT ON COLUMN job_results.fidelity IS 'Fidelity, from 0 to 1';

COMMENT ON COLUMN job_results.execution_time_seconds IS 'Time on the device in s';

COMMENT ON COLUMN job_results.result_key IS 'Where the whole result is';

COMMENT ON COLUMN job_results.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN job_results.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN job_results.last_position IS 'Position of the last event folded into the row';

ALTER TABLE job_results ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON job_results FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON job_results TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON job_results TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON job_results TO qforge_projector, qforge_admin;

CREATE TABLE jobs (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	app_version_id UUID NOT NULL,
	device_id UUID NOT NULL,
	user_id UUID,
	status TEXT NOT NULL,
	shots BIGINT NOT NULL,
	parameters JSONB NOT NULL,
	queued_at TIMESTAMP WITH TIME ZONE NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE,
	finished_at TIMESTAMP WITH TIME ZONE,
	error_message TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT job_status_is_known CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
	CONSTRAINT shots_are_positive CHECK (shots > 0)
);

CREATE INDEX jobs_device_idx ON jobs (tenant_id, device_id, status);

CREATE INDEX jobs_status_idx ON jobs (tenant_id, status, queued_at);

CREATE INDEX jobs_user_idx ON jobs (tenant_id, user_id, queued_at);

CREATE INDEX jobs_version_idx ON jobs (tenant_id, app_version_id);

COMMENT ON TABLE jobs IS 'One row per run of an app''s version on a device';

COMMENT ON COLUMN jobs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN jobs.id IS 'The job';

COMMENT ON COLUMN jobs.app_version_id IS 'Which version of which app';

COMMENT ON COLUMN jobs.device_id IS 'On which device';

COMMENT ON COLUMN jobs.user_id IS 'Who queued it';

COMMENT ON COLUMN jobs.status IS 'queued, running, completed, failed or cancelled';

COMMENT ON COLUMN jobs.shots IS 'How often it is measured';

COMMENT ON COLUMN jobs.parameters IS 'What the app is given';

COMMENT ON COLUMN jobs.queued_at IS 'When it was queued';

COMMENT ON COLUMN jobs.started_at IS 'When the device began';

COMMENT ON COLUMN jobs.finished_at IS 'When it ended, well or badly';

COMMENT ON COLUMN jobs.error_message IS 'Why it failed';

COMMENT ON COLUMN jobs.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN jobs.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN jobs.last_position IS 'Position of the last event folded into the row';

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON jobs FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON jobs TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON jobs TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO qforge_projector, qforge_admin;

CREATE TABLE marketplace_listings (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	app_id UUID NOT NULL,
	user_id UUID,
	title TEXT NOT NULL,
	description TEXT,
	price_cents BIGINT NOT NULL,
	currency TEXT NOT NULL,
	status TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT marketplace_listings_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT listing_status_is_known CHECK (status IN ('draft', 'published', 'withdrawn')),
	CONSTRAINT price_is_not_negative CHECK (price_cents >= 0)
);

CREATE INDEX marketplace_listings_app_idx ON marketplace_listings (tenant_id, app_id);

CREATE INDEX marketplace_listings_status_idx ON marketplace_listings (tenant_id, status);

COMMENT ON TABLE marketplace_listings IS 'One row per app offered for sale';

COMMENT ON COLUMN marketplace_listings.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN marketplace_listings.id IS 'The listing';

COMMENT ON COLUMN marketplace_listings.app_id IS 'Of which app';

COMMENT ON COLUMN marketplace_listings.user_id IS 'Who offers it';

COMMENT ON COLUMN marketplace_listings.title IS 'Under which title';

COMMENT ON COLUMN marketplace_listings.description IS 'What buyers read';

COMMENT ON COLUMN marketplace_listings.price_cents IS 'A month, in hundredths of the currency';

COMMENT ON COLUMN marketplace_listings.currency IS 'Three letters of ISO 4217';

COMMENT ON COLUMN marketplace_listings.status IS 'draft, published or withdrawn';

COMMENT ON COLUMN marketplace_listings.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN marketplace_listings.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN marketplace_listings.last_position IS 'Position of the last event folded into the row';

ALTER TABLE marketplace_listings ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON marketplace_listings FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON marketplace_listings TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON marketplace_listings TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON marketplace_listings TO qforge_projector, qforge_admin;

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

CREATE TABLE molecules (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	smiles TEXT,
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
	identity TEXT,
	identity_key TEXT,
	CONSTRAINT molecules_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT identity_is_known CHECK (identity IN ('given', 'perceived', 'geometry')),
	CONSTRAINT has_either_smiles_or_identity_key CHECK (num_nonnulls(smiles, identity_key) = 1),
	CONSTRAINT multiplicity_is_positive CHECK (multiplicity > 0),
	CONSTRAINT molecular_weight_is_positive CHECK (molecular_weight > 0)
);

CREATE INDEX molecules_created_idx ON molecules (tenant_id, created_at);

CREATE UNIQUE INDEX molecules_identity_key ON molecules (tenant_id, md5(coalesce(smiles, identity_key)), charge, multiplicity);

CREATE INDEX molecules_inchikey_idx ON molecules (tenant_id, inchikey);

CREATE INDEX molecules_name_idx ON molecules USING hash (name);

CREATE INDEX molecules_project_idx ON molecules (tenant_id, project_id) WHERE project_id IS NOT NULL;

CREATE INDEX molecules_smiles_idx ON molecules USING hash (smiles);

COMMENT ON TABLE molecules IS 'One row per molecule: canonical SMILES or connectivity, charge and multiplicity';

COMMENT ON COLUMN molecules.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN molecules.id IS 'uuid5 of tenant, SMILES or identity_key, charge and multiplicity';

COMMENT ON COLUMN molecules.smiles IS 'Canonical SMILES; null for what is known by its identity_key';

COMMENT ON COLUMN molecules.name IS 'A name that people gave it';

COMMENT ON COLUMN molecules.formula IS 'Molecular formula in Hill order';

COMMENT ON COLUMN molecules.inchikey IS 'InChIKey; merges tautomers, so never an identity';

COMMENT ON COLUMN molecules.charge IS 'Total charge in e';

COMMENT ON COLUMN molecules.multiplicity IS 'Spin multiplicity 2S+1';

COMMENT ON COLUMN molecules.molecular_weight IS 'Molecular weight in g/mol';

COMMENT ON COLUMN molecules.generation_method IS 'manual, imported, MolGAN, …';

COMMENT ON COLUMN molecules.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN molecules.user_id IS 'Who created it';

COMMENT ON COLUMN molecules.toolkit IS 'What canonicalised the SMILES or made the key';

COMMENT ON COLUMN molecules.toolkit_version IS 'Version of that toolkit';

COMMENT ON COLUMN molecules.completed_calculation_count IS 'Times that one of its calculations completed';

COMMENT ON COLUMN molecules.retracted_calculation_count IS 'Completed results that were invalidated later';

COMMENT ON COLUMN molecules.calculation_count IS 'Completed calculations that still count';

COMMENT ON COLUMN molecules.failed_calculation_count IS 'Attempts that failed or were lost';

COMMENT ON COLUMN molecules.metadata IS 'Whatever else the events told, as they told it';

COMMENT ON COLUMN molecules.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN molecules.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN molecules.last_position IS 'Position of the last event folded into the row';

COMMENT ON COLUMN molecules.identity IS 'Identified first by given, perceived or geometry';

COMMENT ON COLUMN molecules.identity_key IS 'Key of the connectivity; null with a SMILES';

ALTER TABLE molecules ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON molecules FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON molecules TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON molecules TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON molecules TO qforge_projector, qforge_admin;

CREATE TABLE organization_members (
	tenant_id UUID NOT NULL,
	organization_id UUID NOT NULL,
	user_id UUID NOT NULL,
	role TEXT NOT NULL,
	joined_at TIMESTAMP WITH TIME ZONE NOT NULL,
	left_at TIMESTAMP WITH TIME ZONE,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT organization_members_pkey PRIMARY KEY (tenant_id, organization_id, user_id),
	CONSTRAINT member_role_is_known CHECK (role IN ('owner', 'admin', 'member'))
);

CREATE INDEX organization_members_user_idx ON organization_members (tenant_id, user_id);

COMMENT ON TABLE organization_members IS 'One row per person who is or was in an organisation';

COMMENT ON COLUMN organization_members.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN organization_members.organization_id IS 'The organisation';

COMMENT ON COLUMN organization_members.user_id IS 'The member';

COMMENT ON COLUMN organization_members.role IS 'owner, admin or member';

COMMENT ON COLUMN organization_members.joined_at IS 'When the member last joined';

COMMENT ON COLUMN organization_members.left_at IS 'When the member left; null while there';

COMMENT ON COLUMN organization_members.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN organization_members.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN organization_members.last_position IS 'Position of the last event folded into the row';

ALTER TABLE organization_members ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON organization_members FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON organization_members TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON organization_members TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON organization_members TO qforge_projector, qforge_admin;

CREATE TABLE organizations (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	name TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT organizations_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX organizations_name_idx ON organizations (tenant_id, name);

COMMENT ON TABLE organizations IS 'One row per organisation';

COMMENT ON COLUMN organizations.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN organizations.id IS 'The organisation';

COMMENT ON COLUMN organizations.name IS 'What it is called';

COMMENT ON COLUMN organizations.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN organizations.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN organizations.last_position IS 'Position of the last event folded into the row';

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON organizations FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON organizations TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON organizations TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON organizations TO qforge_projector, qforge_admin;

CREATE TABLE performance_metrics (
	tenant_id UUID NOT NULL,
	id BIGINT NOT NULL,
	metric_type TEXT NOT NULL,
	metric_name TEXT NOT NULL,
	value DOUBLE PRECISION NOT NULL,
	unit TEXT NOT NULL,
	tags JSONB,
	timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT performance_metrics_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX performance_metrics_name_idx ON performance_metrics (tenant_id, metric_name, timestamp);

COMMENT ON TABLE performance_metrics IS 'One row per measurement';

COMMENT ON COLUMN performance_metrics.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN performance_metrics.id IS 'Position of its event in the log';

COMMENT ON COLUMN performance_metrics.metric_type IS 'timer, gauge, counter, …';

COMMENT ON COLUMN performance_metrics.metric_name IS 'What was measured';

COMMENT ON COLUMN performance_metrics.value IS 'In `unit`';

COMMENT ON COLUMN performance_metrics.unit IS 'Of the value: s, MB, 1/s, …';

COMMENT ON COLUMN performance_metrics.tags IS 'By what it can be told from its like';

COMMENT ON COLUMN performance_metrics.timestamp IS 'When it was measured';

COMMENT ON COLUMN performance_metrics.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN performance_metrics.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN performance_metrics.last_position IS 'Position of the last event folded into the row';

ALTER TABLE performance_metrics ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON performance_metrics FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON performance_metrics TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON performance_metrics TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON performance_metrics TO qforge_projector, qforge_admin;

CREATE TABLE performance_metrics_hourly (
	tenant_id UUID NOT NULL,
	metric_name TEXT NOT NULL,
	hour TIMESTAMP WITH TIME ZONE NOT NULL,
	unit TEXT,
	count BIGINT NOT NULL,
	min DOUBLE PRECISION,
	max DOUBLE PRECISION,
	sum NUMERIC NOT NULL,
	average DOUBLE PRECISION GENERATED ALWAYS AS (CAST(sum / nullif(count, 0) AS DOUBLE PRECISION)) STORED,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT performance_metrics_hourly_pkey PRIMARY KEY (tenant_id, metric_name, hour)
);

CREATE INDEX performance_metrics_hourly_hour_idx ON performance_metrics_hourly (tenant_id, hour);

COMMENT ON TABLE performance_metrics_hourly IS 'One row per metric and hour: how it went over time';

COMMENT ON COLUMN performance_metrics_hourly.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN performance_metrics_hourly.metric_name IS 'What was measured';

COMMENT ON COLUMN performance_metrics_hourly.hour IS 'Begin of the hour, in UTC';

COMMENT ON COLUMN performance_metrics_hourly.unit IS 'Of the latest value: s, MB, 1/s, …';

COMMENT ON COLUMN performance_metrics_hourly.count IS 'Measurements in this hour';

COMMENT ON COLUMN performance_metrics_hourly.min IS 'Smallest value, in `unit`';

COMMENT ON COLUMN performance_metrics_hourly.max IS 'Largest value, in `unit`';

COMMENT ON COLUMN performance_metrics_hourly.sum IS 'Sum of the values, exact, in `unit`';

COMMENT ON COLUMN performance_metrics_hourly.average IS 'sum / count, in `unit`';

COMMENT ON COLUMN performance_metrics_hourly.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN performance_metrics_hourly.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN performance_metrics_hourly.last_position IS 'Position of the last event folded into the row';

ALTER TABLE performance_metrics_hourly ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON performance_metrics_hourly FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON performance_metrics_hourly TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON performance_metrics_hourly TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON performance_metrics_hourly TO qforge_projector, qforge_admin;

CREATE TABLE platforms (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	name TEXT NOT NULL,
	provider TEXT NOT NULL,
	api_url TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT platforms_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX platforms_name_idx ON platforms (tenant_id, name);

COMMENT ON TABLE platforms IS 'One row per provider''s platform of quantum devices';

COMMENT ON COLUMN platforms.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN platforms.id IS 'The platform';

COMMENT ON COLUMN platforms.name IS 'What it is called';

COMMENT ON COLUMN platforms.provider IS 'Whose it is';

COMMENT ON COLUMN platforms.api_url IS 'Where it is asked';

COMMENT ON COLUMN platforms.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN platforms.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN platforms.last_position IS 'Position of the last event folded into the row';

ALTER TABLE platforms ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON platforms FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON platforms TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON platforms TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON platforms TO qforge_projector, qforge_admin;

CREATE TABLE projection_checkpoints (
	projection TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	position BIGINT NOT NULL,
	consumed BIGINT NOT NULL,
	ids_hash BIGINT NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	event_id UUID,
	CONSTRAINT projection_checkpoints_pkey PRIMARY KEY (projection),
	CONSTRAINT position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE projection_checkpoints IS 'How far each projection has come; moves in the transaction that moves its rows';

COMMENT ON COLUMN projection_checkpoints.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_checkpoints.fingerprint IS 'Of the definition that filled the table';

COMMENT ON COLUMN projection_checkpoints.position IS 'Every event up to here is folded in';

COMMENT ON COLUMN projection_checkpoints.consumed IS 'How many events of its types that were';

COMMENT ON COLUMN projection_checkpoints.ids_hash IS 'XOR of the hashes of their positions';

COMMENT ON COLUMN projection_checkpoints.updated_at IS 'When the checkpoint last moved, by the database''s clock';

COMMENT ON COLUMN projection_checkpoints.event_id IS 'Of the last event up to the position; null before the first move';

CREATE TABLE projection_copies (
	projection TEXT NOT NULL,
	kind TEXT NOT NULL,
	stage TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	position BIGINT NOT NULL,
	consumed BIGINT NOT NULL,
	ids_hash BIGINT NOT NULL,
	began_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT projection_copies_pkey PRIMARY KEY (projection, kind),
	CONSTRAINT kind_is_known CHECK (kind IN ('shadow', 'kept')),
	CONSTRAINT stage_is_known CHECK (stage IN ('filling', 'indexing', 'comparing', 'swapping', 'done')),
	CONSTRAINT copy_position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE projection_copies IS 'Tables beside the live ones: how far a shadow, or a kept table, has come';

COMMENT ON COLUMN projection_copies.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_copies.kind IS 'shadow: being filled; kept: the table before the last swap';

COMMENT ON COLUMN projection_copies.stage IS 'What a rebuild does now: filling, indexing, comparing, swapping';

COMMENT ON COLUMN projection_copies.fingerprint IS 'Of the definition that fills the copy';

COMMENT ON COLUMN projection_copies.position IS 'Every event up to here is folded in';

COMMENT ON COLUMN projection_copies.consumed IS 'How many events of its types that were';

COMMENT ON COLUMN projection_copies.ids_hash IS 'XOR of the hashes of their positions';

COMMENT ON COLUMN projection_copies.began_at IS 'When the copy was made, by the database''s clock';

COMMENT ON COLUMN projection_copies.updated_at IS 'When the copy last moved, by the database''s clock';

CREATE TABLE projection_dead_letters (
	projection TEXT NOT NULL,
	copy TEXT NOT NULL,
	position BIGINT NOT NULL,
	tenant_id UUID NOT NULL,
	event_type TEXT NOT NULL,
	reason TEXT NOT NULL,
	parked_at TIMESTAMP WITH TIME ZONE NOT NULL,
	retries INTEGER NOT NULL,
	retried_at TIMESTAMP WITH TIME ZONE,
	discarded_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT projection_dead_letters_pkey PRIMARY KEY (projection, copy, position),
	CONSTRAINT copy_is_known CHECK (copy IN ('live', 'shadow', 'kept')),
	CONSTRAINT retries_is_not_negative CHECK (retries >= 0)
);

CREATE INDEX projection_dead_letters_tenant_idx ON projection_dead_letters (tenant_id, position);

COMMENT ON TABLE projection_dead_letters IS 'Events that a projection leaves out because its table cannot take them';

COMMENT ON COLUMN projection_dead_letters.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_dead_letters.copy IS 'Whose table leaves the event out: live; shadow: being filled; kept: before the last swap';

COMMENT ON COLUMN projection_dead_letters.position IS 'Position of the event in the log';

COMMENT ON COLUMN projection_dead_letters.tenant_id IS 'Who owns the event';

COMMENT ON COLUMN projection_dead_letters.event_type IS 'What happened';

COMMENT ON COLUMN projection_dead_letters.reason IS 'What the database said when it last refused the event';

COMMENT ON COLUMN projection_dead_letters.parked_at IS 'When it was set aside, by the database''s clock';

COMMENT ON COLUMN projection_dead_letters.retries IS 'How often it was tried again since';

COMMENT ON COLUMN projection_dead_letters.retried_at IS 'When it was last tried again; null for never';

COMMENT ON COLUMN projection_dead_letters.discarded_at IS 'When somebody decided to do without it; null: it waits';

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

CREATE TABLE published_head (
	is_only BOOLEAN DEFAULT true NOT NULL,
	position BIGINT NOT NULL,
	published_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT published_head_pkey PRIMARY KEY (is_only),
	CONSTRAINT there_is_one_row CHECK (is_only),
	CONSTRAINT published_position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE published_head IS 'The safe head for readers on standby servers, which cannot see who appends';

COMMENT ON COLUMN published_head.is_only IS 'Always true: the table has one row';

COMMENT ON COLUMN published_head.position IS 'Every event up to here was committed before this row was, or will never exist';

COMMENT ON COLUMN published_head.published_at IS 'When that was known, by the database''s clock';

CREATE TABLE quantum_apps (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	project_id UUID,
	user_id UUID,
	name TEXT NOT NULL,
	description TEXT,
	visibility TEXT NOT NULL,
	version_count BIGINT NOT NULL,
	latest_version TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT quantum_apps_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT visibility_is_known CHECK (visibility IN ('private', 'unlisted', 'public'))
);

CREATE INDEX quantum_apps_name_idx ON quantum_apps (tenant_id, name);

CREATE INDEX quantum_apps_project_idx ON quantum_apps (tenant_id, project_id);

COMMENT ON TABLE quantum_apps IS 'One row per app that runs on quantum devices';

COMMENT ON COLUMN quantum_apps.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN quantum_apps.id IS 'The app';

COMMENT ON COLUMN quantum_apps.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN quantum_apps.user_id IS 'Who created it';

COMMENT ON COLUMN quantum_apps.name IS 'What people call it';

COMMENT ON COLUMN quantum_apps.description IS 'What it does';

COMMENT ON COLUMN quantum_apps.visibility IS 'private, unlisted or public';

COMMENT ON COLUMN quantum_apps.version_count IS 'Versions published';

COMMENT ON COLUMN quantum_apps.latest_version IS 'The version published last';

COMMENT ON COLUMN quantum_apps.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN quantum_apps.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN quantum_apps.last_position IS 'Position of the last event folded into the row';

ALTER TABLE quantum_apps ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON quantum_apps FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON quantum_apps TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON quantum_apps TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON quantum_apps TO qforge_projector, qforge_admin;

CREATE TABLE spools (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	host TEXT NOT NULL,
	events BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	rejected BIGINT NOT NULL,
	oldest_at TIMESTAMP WITH TIME ZONE,
	reported_at TIMESTAMP WITH TIME ZONE NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT spools_pkey PRIMARY KEY (tenant_id, id)
);

COMMENT ON TABLE spools IS 'One row per machine that has reported what waits there for the database';

COMMENT ON COLUMN spools.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN spools.id IS 'uuid5 of tenant and host';

COMMENT ON COLUMN spools.host IS 'Name of the machine';

COMMENT ON COLUMN spools.events IS 'Events that waited when it last reported';

COMMENT ON COLUMN spools.bytes IS 'Bytes of the files that held them';

COMMENT ON COLUMN spools.rejected IS 'Appends that the database had refused';

COMMENT ON COLUMN spools.oldest_at IS 'When the first of the events happened';

COMMENT ON COLUMN spools.reported_at IS 'When it last reported';

COMMENT ON COLUMN spools.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN spools.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN spools.last_position IS 'Position of the last event folded into the row';

ALTER TABLE spools ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON spools FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON spools TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON spools TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON spools TO qforge_projector, qforge_admin;

CREATE TABLE subscription_keys (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	subscription_id UUID NOT NULL,
	key_prefix TEXT NOT NULL,
	key_hash TEXT NOT NULL,
	issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
	revoked_at TIMESTAMP WITH TIME ZONE,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT subscription_keys_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX subscription_keys_hash_idx ON subscription_keys (tenant_id, key_hash);

CREATE INDEX subscription_keys_subscription_idx ON subscription_keys (tenant_id, subscription_id);

COMMENT ON TABLE subscription_keys IS 'One row per key of a subscription; the key itself is nowhere';

COMMENT ON COLUMN subscription_keys.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN subscription_keys.id IS 'The key''s id, not the key';

COMMENT ON COLUMN subscription_keys.subscription_id IS 'Of which subscription';

COMMENT ON COLUMN subscription_keys.key_prefix IS 'How the key begins, to tell keys apart';

COMMENT ON COLUMN subscription_keys.key_hash IS 'SHA-256 of the key, as sha256: and hexadecimal';

COMMENT ON COLUMN subscription_keys.issued_at IS 'When it was shown, once';

COMMENT ON COLUMN subscription_keys.revoked_at IS 'From when on it opens nothing';

COMMENT ON COLUMN subscription_keys.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN subscription_keys.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN subscription_keys.last_position IS 'Position of the last event folded into the row';

ALTER TABLE subscription_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON subscription_keys FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON subscription_keys TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON subscription_keys TO qforge_auditor;

GRANT SELECT (tenant_id, id, subscription_id, key_prefix, issued_at, revoked_at, created_at, updated_at, last_position) ON subscription_keys TO qforge_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscription_keys TO qforge_projector, qforge_admin;

CREATE TABLE subscriptions (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	listing_id UUID NOT NULL,
	user_id UUID NOT NULL,
	plan TEXT NOT NULL,
	status TEXT NOT NULL,
	period_start TIMESTAMP WITH TIME ZONE NOT NULL,
	period_end TIMESTAMP WITH TIME ZONE NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT subscription_status_is_known CHECK (status IN ('active', 'past_due', 'cancelled'))
);

CREATE INDEX subscriptions_listing_idx ON subscriptions (tenant_id, listing_id, status);

CREATE INDEX subscriptions_period_idx ON subscriptions (tenant_id, period_end);

CREATE INDEX subscriptions_user_idx ON subscriptions (tenant_id, user_id);

COMMENT ON TABLE subscriptions IS 'One row per subscription to a listing';

COMMENT ON COLUMN subscriptions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN subscriptions.id IS 'The subscription';

COMMENT ON COLUMN subscriptions.listing_id IS 'To which listing';

COMMENT ON COLUMN subscriptions.user_id IS 'Who subscribes';

COMMENT ON COLUMN subscriptions.plan IS 'What was chosen';

COMMENT ON COLUMN subscriptions.status IS 'active, past_due or cancelled';

COMMENT ON COLUMN subscriptions.period_start IS 'When the current period began';

COMMENT ON COLUMN subscriptions.period_end IS 'When it ends';

COMMENT ON COLUMN subscriptions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN subscriptions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN subscriptions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON subscriptions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON subscriptions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON subscriptions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions TO qforge_projector, qforge_admin;

CREATE TABLE user_api_keys (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	user_id UUID NOT NULL,
	name TEXT NOT NULL,
	prefix TEXT NOT NULL,
	key_hash TEXT NOT NULL,
	scopes JSONB NOT NULL,
	rate_limit BIGINT,
	usage_quota BIGINT,
	last_used_at TIMESTAMP WITH TIME ZONE,
	expires_at TIMESTAMP WITH TIME ZONE,
	revoked_at TIMESTAMP WITH TIME ZONE,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT user_api_keys_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT api_key_is_hashed CHECK (key_hash ~ '^sha256:[0-9a-f]{64}$')
);

CREATE INDEX user_api_keys_prefix_idx ON user_api_keys (tenant_id, prefix);

CREATE INDEX user_api_keys_user_idx ON user_api_keys (tenant_id, user_id);

COMMENT ON TABLE user_api_keys IS 'One row per key of the API, revoked ones too';

COMMENT ON COLUMN user_api_keys.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_api_keys.id IS 'The key';

COMMENT ON COLUMN user_api_keys.user_id IS 'For whom it acts';

COMMENT ON COLUMN user_api_keys.name IS 'What it is for';

COMMENT ON COLUMN user_api_keys.prefix IS 'Its first characters, by which people tell it';

COMMENT ON COLUMN user_api_keys.key_hash IS 'SHA-256 of the key, which was shown once';

COMMENT ON COLUMN user_api_keys.scopes IS 'What it may do';

COMMENT ON COLUMN user_api_keys.rate_limit IS 'Requests per minute; null: without limit';

COMMENT ON COLUMN user_api_keys.usage_quota IS 'Requests in all; null: without limit';

COMMENT ON COLUMN user_api_keys.last_used_at IS 'When it last opened a door';

COMMENT ON COLUMN user_api_keys.expires_at IS 'Until when it is good; null: for ever';

COMMENT ON COLUMN user_api_keys.revoked_at IS 'When it was taken back';

COMMENT ON COLUMN user_api_keys.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_api_keys.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_api_keys.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_api_keys FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_api_keys TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_api_keys TO qforge_auditor;

GRANT SELECT (tenant_id, id, user_id, name, prefix, scopes, rate_limit, usage_quota, last_used_at, expires_at, revoked_at, created_at, updated_at, last_position) ON user_api_keys TO qforge_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_api_keys TO qforge_projector, qforge_admin;

CREATE TABLE user_audit_log (
	tenant_id UUID NOT NULL,
	id BIGINT NOT NULL,
	user_id UUID,
	action TEXT NOT NULL,
	entity_type TEXT,
	entity_id UUID,
	changes JSONB,
	details JSONB NOT NULL,
	ip_address TEXT,
	user_agent TEXT,
	status TEXT NOT NULL,
	reason TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT user_audit_log_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT audit_status_is_known CHECK (status IN ('success', 'denied'))
);

CREATE INDEX user_audit_log_action_idx ON user_audit_log (tenant_id, action, created_at);

CREATE INDEX user_audit_log_created_idx ON user_audit_log (tenant_id, created_at);

CREATE INDEX user_audit_log_denied_idx ON user_audit_log (tenant_id, created_at) WHERE status = 'denied';

CREATE INDEX user_audit_log_entity_idx ON user_audit_log (tenant_id, entity_id, created_at);

CREATE INDEX user_audit_log_user_idx ON user_audit_log (tenant_id, user_id, created_at);

COMMENT ON TABLE user_audit_log IS 'One row per audited action';

COMMENT ON COLUMN user_audit_log.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_audit_log.id IS 'Position of its event in the log';

COMMENT ON COLUMN user_audit_log.user_id IS 'Who did it, or tried; null for the system itself';

COMMENT ON COLUMN user_audit_log.action IS 'login, data_export, molecule_delete, …';

COMMENT ON COLUMN user_audit_log.entity_type IS 'What it was done to, as far as known';

COMMENT ON COLUMN user_audit_log.entity_id IS 'Which one';

COMMENT ON COLUMN user_audit_log.changes IS 'By field, its value before and after: {field: {old, new}}';

COMMENT ON COLUMN user_audit_log.details IS 'The event''s short facts: no lists, no objects, no secrets, texts cut to 200 characters';

COMMENT ON COLUMN user_audit_log.ip_address IS 'Where the request came from';

COMMENT ON COLUMN user_audit_log.user_agent IS 'With what';

COMMENT ON COLUMN user_audit_log.status IS 'success or denied';

COMMENT ON COLUMN user_audit_log.reason IS 'Why it was done, or denied';

COMMENT ON COLUMN user_audit_log.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_audit_log.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_audit_log.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_audit_log ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_audit_log FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_audit_log TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_audit_log TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_audit_log TO qforge_projector, qforge_admin;

CREATE TABLE user_preferences (
	tenant_id UUID NOT NULL,
	user_id UUID NOT NULL,
	display_units TEXT,
	display_precision INTEGER,
	default_optimization_level TEXT,
	default_method TEXT,
	default_solvation TEXT,
	theme TEXT,
	language TEXT,
	enable_email_notifications BOOLEAN,
	enable_slack_notifications BOOLEAN,
	slack_webhook_url TEXT,
	notification_on_completion BOOLEAN,
	notification_on_error BOOLEAN,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT user_preferences_pkey PRIMARY KEY (tenant_id, user_id),
	CONSTRAINT display_units_are_known CHECK (display_units IN ('hartree', 'ev')),
	CONSTRAINT theme_is_known CHECK (theme IN ('light', 'dark', 'auto')),
	CONSTRAINT slack_webhook_url_is_encrypted CHECK (slack_webhook_url LIKE 'gAAAA%%')
);

COMMENT ON TABLE user_preferences IS 'One row per user who changed a preference; null: the default';

COMMENT ON COLUMN user_preferences.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_preferences.user_id IS 'The user';

COMMENT ON COLUMN user_preferences.display_units IS 'Unit in which energies are shown: hartree or ev';

COMMENT ON COLUMN user_preferences.display_precision IS 'Decimals of shown numbers';

COMMENT ON COLUMN user_preferences.default_optimization_level IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.default_method IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.default_solvation IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.theme IS 'light, dark or auto';

COMMENT ON COLUMN user_preferences.language IS 'BCP 47 tag: en, de-CH, …';

COMMENT ON COLUMN user_preferences.enable_email_notifications IS 'Whether to send e-mail';

COMMENT ON COLUMN user_preferences.enable_slack_notifications IS 'Whether to write to Slack';

COMMENT ON COLUMN user_preferences.slack_webhook_url IS 'Encrypted; only the holder of the key can read it';

COMMENT ON COLUMN user_preferences.notification_on_completion IS 'Whether to tell that a batch is done';

COMMENT ON COLUMN user_preferences.notification_on_error IS 'Whether to tell that something failed';

COMMENT ON COLUMN user_preferences.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_preferences.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_preferences.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_preferences ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_preferences FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_preferences TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_preferences TO qforge_auditor;

GRANT SELECT (tenant_id, user_id, display_units, display_precision, default_optimization_level, default_method, default_solvation, theme, language, enable_email_notifications, enable_slack_notifications, notification_on_completion, notification_on_error, created_at, updated_at, last_position) ON user_preferences TO qforge_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_preferences TO qforge_projector, qforge_admin;

CREATE TABLE user_profiles (
	tenant_id UUID NOT NULL,
	user_id UUID NOT NULL,
	bio TEXT,
	avatar_url TEXT,
	website TEXT,
	orcid TEXT,
	affiliation TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT user_profiles_pkey PRIMARY KEY (tenant_id, user_id)
);

COMMENT ON TABLE user_profiles IS 'One row per user who shows something to others';

COMMENT ON COLUMN user_profiles.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_profiles.user_id IS 'The user';

COMMENT ON COLUMN user_profiles.bio IS 'A few words';

COMMENT ON COLUMN user_profiles.avatar_url IS 'A picture';

COMMENT ON COLUMN user_profiles.website IS 'A page of the user''s own';

COMMENT ON COLUMN user_profiles.orcid IS 'ORCID iD, 0000-0000-0000-0000';

COMMENT ON COLUMN user_profiles.affiliation IS 'Where the user works, as others may see it';

COMMENT ON COLUMN user_profiles.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_profiles.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_profiles.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_profiles FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_profiles TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_profiles TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_profiles TO qforge_projector, qforge_admin;

CREATE TABLE user_sessions (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	user_id UUID NOT NULL,
	token_hash TEXT NOT NULL,
	current_view TEXT,
	active_molecule_id UUID,
	active_calculation_id UUID,
	editor_content JSONB,
	sidebar_state JSONB,
	theme_preference TEXT,
	ui_preferences JSONB,
	last_activity TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT user_sessions_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT session_token_is_hashed CHECK (token_hash ~ '^sha256:[0-9a-f]{64}$')
);

CREATE INDEX user_sessions_expiry_idx ON user_sessions (tenant_id, expires_at);

CREATE INDEX user_sessions_token_idx ON user_sessions (tenant_id, token_hash);

CREATE INDEX user_sessions_user_idx ON user_sessions (tenant_id, user_id, last_activity);

COMMENT ON TABLE user_sessions IS 'One row per open session of a browser, with all it takes to come back to it';

COMMENT ON COLUMN user_sessions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_sessions.id IS 'The session';

COMMENT ON COLUMN user_sessions.user_id IS 'Whose it is';

COMMENT ON COLUMN user_sessions.token_hash IS 'SHA-256 of the token that the browser holds';

COMMENT ON COLUMN user_sessions.current_view IS 'The page that is shown';

COMMENT ON COLUMN user_sessions.active_molecule_id IS 'The molecule that is edited';

COMMENT ON COLUMN user_sessions.active_calculation_id IS 'The calculation that is looked at';

COMMENT ON COLUMN user_sessions.editor_content IS 'What the editor holds, saved or not';

COMMENT ON COLUMN user_sessions.sidebar_state IS 'What is folded, what is open';

COMMENT ON COLUMN user_sessions.theme_preference IS 'light, dark or auto';

COMMENT ON COLUMN user_sessions.ui_preferences IS 'Whatever else the pages remember';

COMMENT ON COLUMN user_sessions.last_activity IS 'When something last happened in it';

COMMENT ON COLUMN user_sessions.expires_at IS 'Until when the token is good';

COMMENT ON COLUMN user_sessions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_sessions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_sessions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_sessions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_sessions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_sessions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_sessions TO qforge_auditor;

GRANT SELECT (tenant_id, id, user_id, current_view, active_molecule_id, active_calculation_id, editor_content, sidebar_state, theme_preference, ui_preferences, last_activity, expires_at, created_at, updated_at, last_position) ON user_sessions TO qforge_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_sessions TO qforge_projector, qforge_admin;

CREATE TABLE users (
	tenant_id UUID NOT NULL,
	id UUID NOT NULL,
	email TEXT NOT NULL,
	username TEXT NOT NULL,
	hashed_password TEXT,
	full_name TEXT,
	institution TEXT,
	role TEXT NOT NULL,
	tier TEXT NOT NULL,
	is_active BOOLEAN NOT NULL,
	two_factor_enabled BOOLEAN NOT NULL,
	last_login_at TIMESTAMP WITH TIME ZONE,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_position BIGINT NOT NULL,
	CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
	CONSTRAINT role_is_known CHECK (role IN ('admin', 'researcher', 'viewer')),
	CONSTRAINT password_is_hashed CHECK (hashed_password ~ '^\$(argon2id|scrypt)\$')
);

CREATE INDEX users_email_idx ON users (tenant_id, email);

CREATE INDEX users_username_idx ON users (tenant_id, username);

COMMENT ON TABLE users IS 'One row per user';

COMMENT ON COLUMN users.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN users.id IS 'The user';

COMMENT ON COLUMN users.email IS 'E-mail address, unique in the tenant whatever its case';

COMMENT ON COLUMN users.username IS 'User name, unique in the tenant whatever its case';

COMMENT ON COLUMN users.hashed_password IS 'What the password became; null where one signs in elsewhere';

COMMENT ON COLUMN users.full_name IS 'How the user is called';

COMMENT ON COLUMN users.institution IS 'Where the user works';

COMMENT ON COLUMN users.role IS 'admin, researcher or viewer';

COMMENT ON COLUMN users.tier IS 'free, …';

COMMENT ON COLUMN users.is_active IS 'Whether the account is open';

COMMENT ON COLUMN users.two_factor_enabled IS 'Whether a second factor is asked for';

COMMENT ON COLUMN users.last_login_at IS 'When the user last signed in';

COMMENT ON COLUMN users.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN users.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN users.last_position IS 'Position of the last event folded into the row';

ALTER TABLE users ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON users FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON users TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON users TO qforge_auditor;

GRANT SELECT (tenant_id, id, email, username, full_name, institution, role, tier, is_active, two_factor_enabled, last_login_at, created_at, updated_at, last_position) ON users TO qforge_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON users TO qforge_projector, qforge_admin;

CREATE FUNCTION append_lock_key(floor bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (x'5146'::bigint << 48) + floor;

COMMENT ON FUNCTION append_lock_key(bigint) IS
    'Key of the shared advisory lock that says: what I append will lie above this position.
The upper 16 bits are QF in ASCII, the lower 48 the position';

CREATE FUNCTION last_assigned_position() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN coalesce(pg_sequence_last_value('event_logs_id_seq'::regclass), 0);

COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not';

-- Any login may take an advisory lock, with any key. That a session appends is shown by a lock on
-- this table, too, which nobody else can take: not even PREPARE gets it without USAGE of the schema.
CREATE SCHEMA qforge_private;
COMMENT ON SCHEMA qforge_private IS 'What only the functions of the log may touch';
CREATE TABLE qforge_private.appending ();
COMMENT ON TABLE qforge_private.appending IS
    'Always empty; a transaction that appends holds a lock on it';

CREATE FUNCTION append_evidence() RETURNS oid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'qforge_private.appending'::regclass::oid;

COMMENT ON FUNCTION append_evidence() IS
    'The table on which every transaction that appends holds a lock: see append_locks';

CREATE VIEW append_locks AS
SELECT held.pid, held.floor, held.prepared,
       held.is_append OR held.prepared OR bool_or(held.prepared AND held.is_append) OVER () AS counts
  FROM (SELECT l.pid, l.pid IS NULL AS prepared,
               min(((l.classid::bigint << 32) | l.objid::bigint) - append_lock_key(0))
                   FILTER (WHERE l.locktype = 'advisory') AS floor,
               bool_or(l.locktype = 'relation') AS is_append
          FROM pg_locks AS l
         WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.locktype = 'advisory' AND l.objsubid = 1
                AND l.classid::bigint >> 16 = append_lock_key(0) >> 48
                OR l.locktype = 'relation' AND l.relation = append_evidence())
         GROUP BY l.pid, l.virtualtransaction) AS held;

COMMENT ON VIEW append_locks IS
    'Transactions with a lock whose key is a floor of appends, or that append. counts: whether
safe_head heeds the floor. A session that does not append holds no lock on append_evidence(), and is
passed over. Locks of prepared transactions count, and while an append is prepared, so do all: its
locks are moved from the session one by one';

GRANT SELECT ON append_locks TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

CREATE FUNCTION hold_append_floor() RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    assigned bigint := last_assigned_position();
    holders text;
BEGIN
    -- What comes next waits for the heads of streams. A session that holds one and is idle would
    -- stop every append to that stream.
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '30s', true);
    END IF;
    -- Before any position is taken: who has no such lock yet will take positions above what any
    -- reader has read of the sequence by now, and may be passed over.
    PERFORM FROM qforge_private.appending;
    IF pg_try_advisory_xact_lock_shared(append_lock_key(assigned)) THEN
        RETURN assigned;
    END IF;
    -- No append holds a key exclusively. Any lower floor is as true, so appends go on; which one is
    -- not to be foreseen by whoever holds keys.
    FOR attempt IN 1..20 LOOP
        IF pg_try_advisory_xact_lock_shared(append_lock_key(
               greatest(assigned - 1 - floor(random() * 4096)::bigint, 0))) THEN
            RETURN assigned;
        END IF;
    END LOOP;
    SELECT string_agg(DISTINCT format('pid %s, user %s, application %L, connected since %s',
                                      a.pid, a.usename, a.application_name, a.backend_start), '; ')
      INTO holders
      FROM append_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE NOT l.counts AND l.pid <> pg_backend_pid();
    RAISE EXCEPTION 'the keys of the append locks are held by %',
            coalesce(holders, 'a session that has ended meanwhile')
        USING ERRCODE = 'QF012',
              HINT = 'End that session with pg_terminate_backend, and append again.';
END
$$;

COMMENT ON FUNCTION hold_append_floor() IS
    'Take, to the end of the transaction, the shared advisory lock that says: what I append will lie
above this position; and return the last assigned position. Never waits for another session. Sets
lock_timeout to 30 s for the rest of the transaction where there is no limit';

REVOKE EXECUTE ON FUNCTION hold_append_floor() FROM PUBLIC;

CREATE FUNCTION safe_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    assigned bigint;
    lowest_floor bigint;
    published bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the safe head has no meaning under isolation level %',
                current_setting('transaction_isolation')
            USING ERRCODE = 'QF005',
                  HINT = 'Read the log under READ COMMITTED: what is committed must be visible.';
    END IF;
    IF pg_is_in_recovery() THEN
        -- A standby has none of the primary's locks, and its sequence is up to 32 positions ahead.
        SELECT h.position INTO published FROM published_head AS h;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'this server is a standby, and its primary has published no safe head'
                USING ERRCODE = 'QF010',
                      HINT = 'Run `qforge project` on the primary, or connect to the primary.';
        END IF;
        RETURN published;
    END IF;
    -- The order matters: the sequence first, the locks second.
    assigned := last_assigned_position();
    SELECT min(l.floor) INTO lowest_floor FROM append_locks AS l WHERE l.counts;
    RETURN least(assigned, lowest_floor);
END
$$;

COMMENT ON FUNCTION safe_head() IS
    'Every event at or below this position is committed or will never exist; read the log up to it
in a later statement, under READ COMMITTED. On a standby it is the head that the primary published';

CREATE FUNCTION publish_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    -- The time first: what is appended after it may be above the head.
    known_at timestamptz := clock_timestamp();
    head bigint := safe_head();
BEGIN
    -- The row is committed after every event up to the head, so a standby, which replays commits in
    -- their order, shows it after them. The time moves on also while nothing is appended.
    IF NOT EXISTS (SELECT FROM published_head AS h
                    WHERE h.position >= head
                      AND h.published_at > clock_timestamp() - interval '10 seconds') THEN
        INSERT INTO published_head AS h (position, published_at)
             VALUES (head, known_at)
        ON CONFLICT (is_only) DO UPDATE
           SET position = greatest(h.position, excluded.position),
               published_at = greatest(h.published_at, excluded.published_at);
    END IF;
    RETURN head;
END
$$;

COMMENT ON FUNCTION publish_head() IS
    'Return the safe head, and publish it for readers on standby servers; a published head never
goes back. Commit at once: other publishers wait for the row, for 2 s at most';

REVOKE EXECUTE ON FUNCTION publish_head() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION publish_head() TO qforge_projector, qforge_admin;
GRANT SELECT ON published_head
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'QF001',
              HINT = 'Append an event that says what changed.';
END
$$;

COMMENT ON FUNCTION refuse_change() IS 'Keeps the log append-only, for its owner too';

CREATE TRIGGER event_logs_refuse_change
    BEFORE UPDATE OR DELETE ON event_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A row trigger lets TRUNCATE through.
CREATE TRIGGER event_logs_refuse_truncate
    BEFORE TRUNCATE ON event_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION create_event_partition(first_position bigint, last_position bigint) RETURNS text
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    name text := format('event_logs_p%s', lpad(first_position::text, 15, '0'));
BEGIN
    -- Made apart and attached: CREATE … PARTITION OF would wait for every writer.
    EXECUTE format('CREATE TABLE %I (LIKE event_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS
                                                     INCLUDING COMMENTS)', name);
    EXECUTE format('ALTER TABLE event_logs ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, first_position, last_position + 1);
    -- Row triggers and indexes come with the attachment; these do not.
    EXECUTE format('CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    RETURN name;
END
$$;

COMMENT ON FUNCTION create_event_partition(bigint, bigint) IS
    'Make the partition of the log for positions from first to last, both included';

-- Running out of prepared partitions must lose and refuse nothing.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;
CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON event_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE event_logs_default ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION event_partitions()
RETURNS TABLE (name text, first_position bigint, last_position bigint, rows bigint, bytes bigint)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT c.relname::text,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\)'))[1]::bigint,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint - 1,
           greatest(c.reltuples, 0)::bigint,
           pg_total_relation_size(c.oid)
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'event_logs'::regclass
     ORDER BY 2 NULLS LAST
$$;

COMMENT ON FUNCTION event_partitions() IS
    'The partitions of the log with their first and last position (null for the default one), their
rows as last estimated, and their bytes with indexes';

CREATE FUNCTION maintain_event_partitions(size bigint DEFAULT 10000000, ahead integer DEFAULT 2)
RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
-- Whoever appends or reads waits behind this one for a lock, and so no longer than this.
SET lock_timeout = '50ms'
AS $$
DECLARE
    head bigint := last_assigned_position();
    prepared bigint;
    in_default bigint := coalesce(pg_relation_size(to_regclass('event_logs_default')), 0);
BEGIN
    SELECT coalesce(max(last_position), 0) INTO prepared FROM event_partitions();
    IF prepared >= head + size * ahead THEN
        RETURN;
    END IF;
    -- One at a time, and nobody waits for the other; ATTACH needs this lock in any case.
    LOCK TABLE ONLY event_logs IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
    -- ATTACH looks at every row of the default partition, and locks it meanwhile.
    IF in_default > 33554432
       AND coalesce(current_setting('qforge.scan_default_partition', true), '') <> 'on' THEN
        RAISE EXCEPTION 'nobody could append while the % bytes of the default partition are read',
            in_default
            USING ERRCODE = 'QF011';
    END IF;
    SELECT coalesce(max(last_position), 0) INTO prepared FROM event_partitions();
    WHILE prepared < head + size * ahead LOOP
        IF prepared < head THEN
            -- Some positions went to the default partition, and stay there: begin above them.
            prepared := (head / size + 1) * size;
        END IF;
        RETURN NEXT create_event_partition(prepared + 1, prepared + size);
        prepared := prepared + size;
    END LOOP;
END
$$;

COMMENT ON FUNCTION maintain_event_partitions(bigint, integer) IS
    'Make partitions of the log ahead of need, and return their names: none when enough are there.
Gives up with SQLSTATE 55P03 when the log is in use, and with QF011 when the default partition is
large, unless qforge.scan_default_partition is on. Commit at once';

SELECT maintain_event_partitions();

CREATE FUNCTION refuse_reused_event_id(event_id uuid) RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'event id % is already taken by an event with other content', event_id
        USING ERRCODE = 'QF004',
              HINT = 'Give every event an id of its own; repeat an id only to retry the same event.';
END
$$;

COMMENT ON FUNCTION refuse_reused_event_id(uuid) IS
    'A repeated event_id is a retry only if the event is the same: otherwise one would be lost';

CREATE FUNCTION refuse_incomplete_event() RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event lacks its event_id, tenant_id, entity_type or entity_id'
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_incomplete_event() IS 'An event does not say which stream it belongs to';

CREATE FUNCTION refuse_long_name(event_id uuid, entity_type text, event_type text) RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    -- The indexes of the log and of the heads take at most some 2,700 bytes.
    RAISE EXCEPTION 'event %: its %, which begins with %, has % bytes, more than the limit of 200',
        event_id,
        CASE WHEN octet_length(entity_type) > 200 THEN 'entity_type' ELSE 'event_type' END,
        to_json(left(CASE WHEN octet_length(entity_type) > 200 THEN entity_type
                          ELSE event_type END, 30)),
        greatest(octet_length(entity_type), octet_length(event_type))
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_long_name(uuid, text, text) IS
    'Say which event has an entity_type or event_type that is too long for an index';

CREATE FUNCTION refuse_version(
    tenant_id uuid, entity_type text, entity_id uuid, expected integer, actual integer
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'stream %/% is at version %, not at the expected %',
            entity_type, entity_id, actual, expected
        USING ERRCODE = 'QF003',
              DETAIL = jsonb_build_object(
                  'tenant_id', tenant_id, 'entity_type', entity_type, 'entity_id', entity_id,
                  'expected', expected, 'actual', actual)::text;
END
$$;

COMMENT ON FUNCTION refuse_version(uuid, text, uuid, integer, integer) IS
    'A stream is not at the version that an append expected';

CREATE FUNCTION refuse_tenant(tenant_id uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event of tenant % is refused: this session acts for %',
            tenant_id, coalesce(current_tenant()::text, 'no tenant')
        USING ERRCODE = 'QF007',
              HINT = 'Set qforge.tenant_id, or append as a member of qforge_admin.';
END
$$;

COMMENT ON FUNCTION refuse_tenant(uuid) IS 'An event belongs to another tenant than the session';

CREATE FUNCTION is_storable(data jsonb, metadata jsonb, occurred_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_typeof(data) = 'object'
   AND coalesce(jsonb_typeof(metadata), 'null') IN ('object', 'null')
   -- As text, to be read, exported and imported; only what is large is written out to be measured.
   AND (pg_column_size(data) + coalesce(pg_column_size(metadata), 0) < 65536
        OR octet_length(data::text) + coalesce(octet_length(metadata::text), 0) <= 25165824)
   -- PostgreSQL nests JSON thousands deep; parsers elsewhere give up, and then nobody reads on.
   AND NOT data @? '$.**{100}'
   AND NOT coalesce(metadata @? '$.**{100}', false)
   -- Infinity and the year 20000 are times to PostgreSQL and an error to every reader in Python.
   AND coalesce(occurred_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00', true);

COMMENT ON FUNCTION is_storable(jsonb, jsonb, timestamptz) IS
    'Whether every reader can read such an event; metadata and time may be null. What appends asks
it: as CHECKs of the log, these rules would be read from the catalogue anew by every append';

CREATE FUNCTION refuse_unstorable(event_id uuid, event_type text, data jsonb, metadata jsonb,
                                  occurred_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    size bigint;
BEGIN
    IF jsonb_typeof(data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'event %: its data is not an object', event_id USING ERRCODE = 'QF002';
    END IF;
    IF jsonb_typeof(metadata) NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'event %: its metadata is not an object', event_id
            USING ERRCODE = 'QF002';
    END IF;
    size := octet_length(data::text) + coalesce(octet_length(metadata::text), 0);
    IF size > 25165824 THEN
        RAISE EXCEPTION 'event %: its data and metadata have % bytes as text, more than 25165824',
                        event_id, size
            USING ERRCODE = 'QF013', DETAIL = jsonb_build_object(
                'event_type', event_type, 'event_id', event_id, 'size', size, 'limit', 25165824);
    END IF;
    IF is_storable(data, metadata, NULL) THEN
        RAISE EXCEPTION 'event %: its occurred_at is not in the calendar', event_id
            USING ERRCODE = 'QF002';
    END IF;
    RAISE EXCEPTION 'event %: its data or metadata is 100 deep or deeper', event_id
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_unstorable(uuid, text, jsonb, jsonb, timestamptz) IS
    'Say which event is not storable, and why';

CREATE FUNCTION append_batch(events jsonb)
RETURNS TABLE (event_id uuid, "position" bigint, version integer, appended boolean)
LANGUAGE plpgsql VOLATILE
-- The planner takes a call for 100 events, and nested loops over 5,000 for cheap. What is looked
-- up in a table is looked up by arrays.
SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
    tenants uuid[];
    types text[];
    entities uuid[];
    counts integer[];
    befores integer[];
    floors bigint[];
    maybe_known uuid[];
    known uuid[] := '{}';
    conflict record;
    distinct_events bigint;
    distinct_ids bigint;
    lacking bigint;
    long bigint;
BEGIN
    -- What one call may cost the database. Python sends more as several calls in one transaction.
    IF jsonb_array_length(events) > 10000 THEN
        RAISE EXCEPTION 'append_events takes at most 10000 events in one call, not %',
                        jsonb_array_length(events)
            USING ERRCODE = 'QF002', HINT = 'Make several calls in one transaction.';
    END IF;

    SELECT array_agg(g.tenant_id), array_agg(g.entity_type), array_agg(g.entity_id),
           array_agg(g.n), sum(g.n), sum(g.lacking), sum(g.long)
      INTO tenants, types, entities, counts, distinct_events, lacking, long
      FROM (SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id)::integer AS n,
                   count(*) FILTER (WHERE e.event_id IS NULL OR e.tenant_id IS NULL
                                          OR e.entity_type IS NULL OR e.entity_id IS NULL) AS lacking,
                   count(*) FILTER (WHERE octet_length(e.entity_type) > 200
                                          OR octet_length(e.event_type) > 200) AS long
              FROM jsonb_to_recordset(events) AS e(
                   tenant_id uuid, entity_type text, entity_id uuid, event_id uuid, event_type text)
             GROUP BY e.tenant_id, e.entity_type, e.entity_id
             ORDER BY e.tenant_id, e.entity_type, e.entity_id) AS g;
    IF lacking > 0 THEN
        PERFORM refuse_incomplete_event();
    END IF;

    -- Before anything is locked, read or written: what happens then is visible to the caller, and
    -- would show whether another tenant has these streams.
    IF NOT acts_for_every_tenant() THEN
        PERFORM refuse_tenant(t.tenant_id) FROM unnest(tenants) AS t(tenant_id)
          WHERE t.tenant_id IS DISTINCT FROM (SELECT current_tenant());
    END IF;

    IF long > 0 THEN
        PERFORM refuse_long_name(e.event_id, e.entity_type, e.event_type)
           FROM jsonb_to_recordset(events) AS e(event_id uuid, entity_type text, event_type text)
          WHERE octet_length(e.entity_type) > 200 OR octet_length(e.event_type) > 200;
    END IF;

    PERFORM hold_append_floor();

    -- Lock the head of every stream, in one order for everybody, and take the next versions, as if
    -- every event were new.
    WITH given AS (
        SELECT * FROM unnest(tenants, types, entities, counts) AS g(tenant_id, entity_type, entity_id, n)
    ), heads AS (
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT g.tenant_id, g.entity_type, g.entity_id, g.n, last_assigned_position() + 1
          FROM given AS g
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + excluded.version
          RETURNING head.tenant_id, head.entity_type, head.entity_id, head.version,
                    head.first_position
    )
    SELECT array_agg(tenant_id), array_agg(entity_type), array_agg(entity_id),
           array_agg(h.version - g.n), array_agg(h.first_position)
      INTO tenants, types, entities, befores, floors
      FROM heads AS h JOIN given AS g USING (tenant_id, entity_type, entity_id);

    IF distinct_events < jsonb_array_length(events) THEN
        PERFORM refuse_reused_event_id(e.event_id)
           FROM jsonb_to_recordset(events) AS e(
                tenant_id uuid, entity_type text, entity_id uuid, event_id uuid, event_type text,
                data jsonb)
          GROUP BY e.tenant_id, e.entity_type, e.entity_id, e.event_id
         HAVING count(DISTINCT (e.event_type, e.data)) > 1;
    END IF;

    -- An id belongs to one stream: what is known in one would seem known in the other.
    IF cardinality(tenants) > 1 THEN
        SELECT count(DISTINCT e.event_id) INTO distinct_ids
          FROM jsonb_to_recordset(events) AS e(event_id uuid);
        IF distinct_ids < distinct_events THEN
            RAISE EXCEPTION 'one event_id is used for events of two streams' USING ERRCODE = 'QF004';
        END IF;
    END IF;

    -- What the log has already; it can only be in streams that were there before.
    IF 0 < ANY (befores) THEN
        SELECT array_agg(e.event_id) INTO maybe_known
          FROM jsonb_to_recordset(events) AS e(
               tenant_id uuid, entity_type text, entity_id uuid, event_id uuid)
          JOIN unnest(tenants, types, entities, befores) AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         WHERE s.before > 0;
        SELECT coalesce(array_agg(l.event_id), '{}') INTO known
          FROM event_logs AS l
         WHERE l.event_id = ANY (maybe_known)
           AND l.id >= (SELECT min(floor) FROM unnest(befores, floors) AS s(before, floor)
                         WHERE before > 0)
           AND (l.event_id, l.tenant_id, l.entity_type, l.entity_id) IN (
               SELECT e.event_id, e.tenant_id, e.entity_type, e.entity_id
                 FROM jsonb_to_recordset(events) AS e(
                      tenant_id uuid, entity_type text, entity_id uuid, event_id uuid));
    END IF;
    IF cardinality(known) > 0 THEN
        UPDATE event_streams AS head
           SET version = head.version - again.n
          FROM (SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id) AS n
                  FROM jsonb_to_recordset(events) AS e(
                       tenant_id uuid, entity_type text, entity_id uuid, event_id uuid)
                 WHERE e.event_id = ANY (known)
                 GROUP BY e.tenant_id, e.entity_type, e.entity_id) AS again
         WHERE head.tenant_id = ANY (tenants) AND head.tenant_id = again.tenant_id
           AND head.entity_type = ANY (types) AND head.entity_type = again.entity_type
           AND head.entity_id = ANY (entities) AND head.entity_id = again.entity_id;
    END IF;

    -- 0: must not exist. −1: must exist. A retry expects what held before its first try.
    IF jsonb_path_exists(events, '$[*].expected_version ? (@ != null)') THEN
        SELECT s.*, e.expected, e.least_expected INTO conflict
          FROM unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
          JOIN (SELECT g.tenant_id, g.entity_type, g.entity_id,
                       max(g.expected_version) AS expected,
                       min(g.expected_version) AS least_expected,
                       count(DISTINCT g.event_id) FILTER (WHERE g.event_id = ANY (known)) AS again,
                       count(DISTINCT g.event_id) AS n
                  FROM jsonb_to_recordset(events) AS g(
                       tenant_id uuid, entity_type text, entity_id uuid, event_id uuid,
                       expected_version integer)
                 GROUP BY g.tenant_id, g.entity_type, g.entity_id) AS e
         USING (tenant_id, entity_type, entity_id)
         WHERE e.n > e.again
           AND (e.expected <> e.least_expected
                OR CASE e.expected WHEN -1 THEN s.before = 0
                                   ELSE e.expected + e.again <> s.before END)
         LIMIT 1;
        IF FOUND THEN
            IF conflict.expected <> conflict.least_expected THEN
                RAISE EXCEPTION 'two expected versions, % and %, for one stream',
                        conflict.least_expected, conflict.expected USING ERRCODE = 'QF002';
            END IF;
            PERFORM refuse_version(conflict.tenant_id, conflict.entity_type, conflict.entity_id,
                                   conflict.expected, conflict.before);
        END IF;
    END IF;

    -- Nothing repeated, nothing known: as they come. Rows are returned as they are inserted.
    IF cardinality(known) = 0 AND distinct_events = jsonb_array_length(events) THEN
        RETURN QUERY
        INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                                schema_version, data, metadata, user_id, occurred_at, recorded_at)
        SELECT e.event_id, e.tenant_id, e.entity_type, e.entity_id,
               s.before + CASE WHEN cardinality(tenants) = 1 THEN e.ord
                               ELSE row_number() OVER (PARTITION BY e.entity_id, e.entity_type,
                                                                    e.tenant_id
                                                       ORDER BY e.ord) END,
               e.event_type, coalesce(e.schema_version, 1),
               CASE WHEN is_storable(e.data, e.metadata, e.occurred_at) THEN e.data
                    ELSE refuse_unstorable(e.event_id, e.event_type, e.data, e.metadata,
                                           e.occurred_at) END,
               coalesce(nullif(e.metadata, 'null'), '{}'), e.user_id,
               coalesce(e.occurred_at, clock_timestamp()), clock_timestamp()
          FROM ROWS FROM (jsonb_to_recordset(events) AS (
                   event_id uuid, tenant_id uuid, entity_type text, entity_id uuid, event_type text,
                   schema_version smallint, data jsonb, metadata jsonb, user_id uuid,
                   occurred_at timestamptz)) WITH ORDINALITY AS e(
                   event_id, tenant_id, entity_type, entity_id, event_type,
                   schema_version, data, metadata, user_id, occurred_at, ord)
          JOIN unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         ORDER BY e.ord
        RETURNING event_logs.event_id, event_logs.id, event_logs.version, true;
        RETURN;
    END IF;

    RETURN QUERY
    WITH given AS (
        SELECT e.*,
               row_number() OVER (PARTITION BY e.tenant_id, e.entity_type, e.entity_id, e.event_id
                                  ORDER BY e.ord) AS occurrence
          FROM ROWS FROM (jsonb_to_recordset(events) AS (
                   event_id uuid, tenant_id uuid, entity_type text, entity_id uuid, event_type text,
                   schema_version smallint, data jsonb, metadata jsonb, user_id uuid,
                   occurred_at timestamptz)) WITH ORDINALITY AS e(
                   event_id, tenant_id, entity_type, entity_id, event_type,
                   schema_version, data, metadata, user_id, occurred_at, ord)
    ), versioned AS (
        SELECT g.*,
               s.before + row_number() OVER (PARTITION BY g.tenant_id, g.entity_type, g.entity_id
                                             ORDER BY g.ord) AS version
          FROM given AS g
          JOIN unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         WHERE g.occurrence = 1 AND g.event_id <> ALL (known)
    ), inserted AS (
        INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                                schema_version, data, metadata, user_id, occurred_at, recorded_at)
        SELECT v.event_id, v.tenant_id, v.entity_type, v.entity_id, v.version, v.event_type,
               coalesce(v.schema_version, 1),
               CASE WHEN is_storable(v.data, v.metadata, v.occurred_at) THEN v.data
                    ELSE refuse_unstorable(v.event_id, v.event_type, v.data, v.metadata,
                                           v.occurred_at) END,
               coalesce(nullif(v.metadata, 'null'), '{}'), v.user_id,
               coalesce(v.occurred_at, clock_timestamp()), clock_timestamp()
          FROM versioned AS v
         ORDER BY v.ord
        RETURNING event_logs.id, event_logs.event_id, event_logs.entity_id, event_logs.version
    ), repeated AS (
        SELECT l.id, l.event_id, l.entity_id, l.version,
               l.event_type IS NOT DISTINCT FROM g.event_type AND l.data = g.data AS same
          FROM given AS g
          JOIN event_logs AS l
         USING (event_id, tenant_id, entity_type, entity_id)
         WHERE cardinality(known) > 0 AND g.event_id = ANY (known)
           AND l.event_id = ANY (known) AND g.occurrence = 1
    ), outcome AS (
        SELECT i.event_id, i.entity_id, i.id, i.version, true AS appended FROM inserted AS i
        UNION ALL
        SELECT r.event_id, r.entity_id,
               CASE WHEN r.same THEN r.id ELSE refuse_reused_event_id(r.event_id) END, r.version,
               false
          FROM repeated AS r
    )
    SELECT o.event_id, o.id, o.version, o.appended
      FROM given AS g
      JOIN outcome AS o USING (event_id, entity_id)
     ORDER BY g.ord;
END
$$;

COMMENT ON FUNCTION append_batch(jsonb) IS
    'The general case of append_events';

CREATE FUNCTION append_events(events jsonb)
RETURNS TABLE (event_id uuid, "position" bigint, version integer, appended boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    event jsonb;
    tenant uuid;
    kind text;
    entity uuid;
    expected integer;
    floor_of_stream bigint;
    known record;
BEGIN
    IF jsonb_typeof(events) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'append_events takes a JSON array of events' USING ERRCODE = 'QF002';
    END IF;

    IF jsonb_array_length(events) <> 1 THEN
        RETURN QUERY SELECT * FROM append_batch(events);
        RETURN;
    END IF;

    -- One event, by far the most frequent call, needs none of the batch's joins.
    event := events -> 0;
    event_id := event ->> 'event_id';
    tenant := event ->> 'tenant_id';
    kind := event ->> 'entity_type';
    entity := event ->> 'entity_id';
    expected := event ->> 'expected_version';
    IF event_id IS NULL OR tenant IS NULL OR kind IS NULL OR entity IS NULL THEN
        PERFORM refuse_incomplete_event();
    END IF;
    -- Before anything is locked, read or written: what happens then is visible to the caller, and
    -- would show whether another tenant has this stream.
    IF NOT acts_for_every_tenant() AND tenant IS DISTINCT FROM current_tenant() THEN
        PERFORM refuse_tenant(tenant);
    END IF;
    IF octet_length(kind) > 200 OR octet_length(event ->> 'event_type') > 200 THEN
        PERFORM refuse_long_name(event_id, kind, event ->> 'event_type');
    END IF;
    IF is_storable(event -> 'data', event -> 'metadata',
                   (event ->> 'occurred_at')::timestamptz) IS NOT TRUE THEN
        PERFORM refuse_unstorable(event_id, event ->> 'event_type',
                                  event -> 'data', event -> 'metadata',
                                  (event ->> 'occurred_at')::timestamptz);
    END IF;

    floor_of_stream := hold_append_floor();

    INSERT INTO event_streams AS head (tenant_id, entity_type, entity_id, version, first_position)
         VALUES (tenant, kind, entity, 1, floor_of_stream + 1)
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE SET version = head.version + 1
      RETURNING head.version, head.first_position INTO version, floor_of_stream;

    IF version > 1 THEN
        SELECT l.id, l.version,
               l.event_type IS NOT DISTINCT FROM event ->> 'event_type'
               AND l.data = event -> 'data' AS same
          INTO known
          FROM event_logs AS l
         WHERE l.event_id = append_events.event_id AND l.id >= floor_of_stream
           AND l.entity_id = entity AND l.entity_type = kind AND l.tenant_id = tenant;
        IF FOUND THEN
            IF known.same IS NOT TRUE THEN
                PERFORM refuse_reused_event_id(event_id);
            END IF;
            UPDATE event_streams AS head SET version = head.version - 1
             WHERE head.tenant_id = tenant AND head.entity_type = kind AND head.entity_id = entity;
            position := known.id;
            version := known.version;
            appended := false;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    -- 0: must not exist. −1: must exist.
    IF (CASE expected WHEN -1 THEN version = 1 ELSE version - 1 <> expected END) THEN
        PERFORM refuse_version(tenant, kind, entity, expected, version - 1);
    END IF;

    INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                            schema_version, data, metadata, user_id, occurred_at, recorded_at)
         VALUES (event_id, tenant, kind, entity, version, event ->> 'event_type',
                 coalesce((event ->> 'schema_version')::smallint, 1),
                 event -> 'data', coalesce(nullif(event -> 'metadata', 'null'), '{}'),
                 (event ->> 'user_id')::uuid,
                 coalesce((event ->> 'occurred_at')::timestamptz, clock_timestamp()),
                 clock_timestamp())
      RETURNING id INTO position;
    appended := true;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION append_events(jsonb) IS
    'Append up to 10,000 events atomically, in the given order, and return where each one is; more
events are atomic as several calls in one transaction. An event is an
object with event_id, tenant_id, entity_type, entity_id, event_type, data and, if wanted,
schema_version, metadata, user_id, occurred_at, expected_version (a number; 0: the stream must not
exist; -1: it must). An event_id that is already in its stream is not appended again.';

REVOKE EXECUTE ON FUNCTION append_events(jsonb), append_batch(jsonb),
                           create_event_partition(bigint, bigint),
                           maintain_event_partitions(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events(jsonb) TO qforge_appender, qforge_admin;
GRANT EXECUTE ON FUNCTION maintain_event_partitions(bigint, integer) TO qforge_projector, qforge_admin;
GRANT SELECT ON SEQUENCE event_logs_id_seq
   TO qforge_projector, qforge_reader, qforge_auditor, qforge_admin;

-- The log: readable to those who project, audit and administer; written by append_events alone.
ALTER TABLE event_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_logs FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_logs FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_logs TO qforge_projector, qforge_auditor, qforge_admin;

ALTER TABLE event_streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_streams FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_streams FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_streams TO qforge_projector, qforge_auditor, qforge_admin;

-- Checkpoints name no tenant: whoever reads a table may know how far it has come.
GRANT SELECT ON projection_checkpoints TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints TO qforge_projector, qforge_admin;

CREATE AGGREGATE merge_payloads(jsonb) (
    SFUNC = jsonb_concat,
    STYPE = jsonb,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE merge_payloads(jsonb) IS
    'The last value of each field of JSON objects in the order given; an absent field leaves a value
alone, a null replaces it. A lone object is passed through untouched';

CREATE FUNCTION upcast_payload(data jsonb, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    step jsonb;
    kind text;
    given jsonb;
    field text;
BEGIN
    FOR step IN SELECT * FROM jsonb_array_elements(steps) LOOP
        SELECT key, value INTO kind, given FROM jsonb_each(step);
        field := given ->> 0;
        CASE kind
            WHEN 'rename' THEN
                IF data ? field THEN
                    data := (data - field) || jsonb_build_object(given ->> 1, data -> field);
                END IF;
            WHEN 'default' THEN
                data := jsonb_build_object(field, given -> 1) || data;
            WHEN 'convert' THEN
                IF jsonb_typeof(data -> field) = 'number' THEN
                    data := data || jsonb_build_object(
                        field, (data ->> field)::numeric * (given ->> 1)::numeric
                               + (given ->> 2)::numeric);
                END IF;
            WHEN 'drop' THEN
                data := data - field;
        END CASE;
    END LOOP;
    RETURN data;
END
$$;

COMMENT ON FUNCTION upcast_payload(jsonb, jsonb) IS
    'A payload of an older schema version as one of today''s, by the steps that its event type declares';

CREATE FUNCTION merge_tallies(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(jsonb_object_agg(value, count), '{}')
      FROM (SELECT key AS value, sum(n::bigint) AS count
              FROM (SELECT * FROM jsonb_each_text(coalesce(a, '{}'))
                    UNION ALL
                    SELECT * FROM jsonb_each_text(coalesce(b, '{}'))) AS both_tallies(key, n)
             GROUP BY key) AS merged
);

COMMENT ON FUNCTION merge_tallies(jsonb, jsonb) IS 'Add two tallies (value → count); null is empty';

CREATE FUNCTION short_facts(data jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(
               jsonb_object_agg(
                   key,
                   CASE jsonb_typeof(value)
                       WHEN 'string' THEN to_jsonb(left(value #>> '{}', 200))
                       ELSE value
                   END
               ),
               '{}'
           )
      FROM jsonb_each(data)
     WHERE jsonb_typeof(value) IN ('string', 'number', 'boolean')
);

COMMENT ON FUNCTION short_facts(jsonb) IS
    'The fields of a JSON object that are texts, numbers and booleans; of a text its first 200 characters';

CREATE FUNCTION prepare_load() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Narrow columns first: most statements of load_events read no others.
    CREATE TEMPORARY TABLE load_staging (
        ord integer NOT NULL,
        event_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        entity_id uuid NOT NULL,
        user_id uuid,
        occurred_at timestamptz,
        schema_version smallint NOT NULL,
        entity_type text NOT NULL,
        event_type text NOT NULL,
        data jsonb NOT NULL,
        metadata jsonb NOT NULL
    ) ON COMMIT DROP;
    -- A temporary table is out of everybody else's reach.
    GRANT INSERT ON load_staging TO PUBLIC;
END
$$;

COMMENT ON FUNCTION prepare_load() IS
    'Make the temporary table load_staging, to be filled by COPY, for load_events in the same
transaction; ord counts the events from 1 in their order';

CREATE FUNCTION load_events()
RETURNS TABLE (appended bigint, repeated bigint, last_position bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
-- The planner knows nothing of the staging table and of arrays. What is looked up in a table is
-- looked up by arrays or by ON CONFLICT; what remains are joins of equals, for which hashing is best.
SET enable_nestloop = off
SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    given bigint;
    ordered boolean;
    unique_ids boolean;
    long_names boolean;
    a_tenant uuid;
    floor_of_all bigint;
    tenants uuid[];
    types text[];
    entities uuid[];
    befores integer[];
    floors bigint[];
    maybe_known uuid[];
    known uuid[] := '{}';
    versions integer[];
BEGIN
    -- A table that somebody else made could run their code with the rights of this function.
    IF NOT EXISTS (SELECT FROM pg_class
                    WHERE oid = to_regclass('pg_temp.load_staging') AND relkind = 'r'
                      AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)) THEN
        RAISE EXCEPTION 'load_events needs the staging table that prepare_load makes'
            USING ERRCODE = 'QF002';
    END IF;

    PERFORM hold_append_floor();
    floor_of_all := last_assigned_position() + 1;

    SELECT count(*), count(DISTINCT ord) = count(*) AND min(ord) >= 1 AND max(ord) <= count(*),
           count(DISTINCT event_id) = count(*),
           bool_or(octet_length(entity_type) > 200 OR octet_length(event_type) > 200)
      INTO given, ordered, unique_ids, long_names
      FROM pg_temp.load_staging;
    IF given = 0 THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, NULL::bigint;
        RETURN;
    END IF;
    IF NOT ordered THEN
        RAISE EXCEPTION 'ord must count the events from 1' USING ERRCODE = 'QF002';
    END IF;

    IF NOT acts_for_every_tenant() THEN
        SELECT s.tenant_id INTO a_tenant FROM pg_temp.load_staging AS s
         WHERE s.tenant_id IS DISTINCT FROM (SELECT current_tenant()) LIMIT 1;
        IF FOUND THEN
            PERFORM refuse_tenant(a_tenant);
        END IF;
    END IF;

    IF long_names THEN
        PERFORM refuse_long_name(s.event_id, s.entity_type, s.event_type)
           FROM pg_temp.load_staging AS s
          WHERE octet_length(s.entity_type) > 200 OR octet_length(s.event_type) > 200;
    END IF;

    IF NOT unique_ids THEN
        PERFORM refuse_reused_event_id(s.event_id)
           FROM pg_temp.load_staging AS s
          GROUP BY s.event_id
         HAVING count(DISTINCT (s.tenant_id, s.entity_type, s.entity_id, s.event_type, s.data)) > 1;
    END IF;

    -- Lock the head of every stream, in the order of append_batch, and take the next versions, as
    -- if every event were new.
    WITH streams AS MATERIALIZED (
        SELECT s.tenant_id, s.entity_type, s.entity_id,
               CASE WHEN unique_ids THEN count(*) ELSE count(DISTINCT s.event_id) END::integer AS n
          FROM pg_temp.load_staging AS s
         GROUP BY s.tenant_id, s.entity_type, s.entity_id
         ORDER BY s.tenant_id, s.entity_type, s.entity_id
    ), heads AS (
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT g.tenant_id, g.entity_type, g.entity_id, g.n, floor_of_all
          FROM streams AS g
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + excluded.version
          RETURNING head.tenant_id, head.entity_type, head.entity_id, head.version,
                    head.first_position
    )
    SELECT array_agg(tenant_id), array_agg(entity_type), array_agg(entity_id),
           array_agg(h.version - g.n), array_agg(h.first_position)
      INTO tenants, types, entities, befores, floors
      FROM heads AS h JOIN streams AS g USING (tenant_id, entity_type, entity_id);

    -- What the log has already; it can only be in streams that were there before.
    IF 0 < ANY (befores) THEN
        SELECT array_agg(s.event_id) INTO maybe_known
          FROM pg_temp.load_staging AS s
          JOIN unnest(tenants, types, entities, befores) AS h(tenant_id, entity_type, entity_id, before)
         USING (entity_id, tenant_id, entity_type)
         WHERE h.before > 0;
        SELECT min(h.floor) INTO floor_of_all
          FROM unnest(befores, floors) AS h(before, floor) WHERE h.before > 0;
        SELECT coalesce(array_agg(l.event_id) FILTER (
                   WHERE CASE WHEN l.event_type = s.event_type AND l.data = s.data THEN true
                              ELSE refuse_reused_event_id(l.event_id) > 0 END), '{}')
          INTO known
          FROM event_logs AS l
          JOIN pg_temp.load_staging AS s USING (event_id, tenant_id, entity_type, entity_id)
         WHERE l.event_id = ANY (maybe_known) AND l.id >= floor_of_all;
    END IF;
    IF cardinality(known) > 0 THEN
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT s.tenant_id, s.entity_type, s.entity_id, count(DISTINCT s.event_id), 0
          FROM pg_temp.load_staging AS s
         WHERE s.event_id = ANY (known)
         GROUP BY s.tenant_id, s.entity_type, s.entity_id
        -- All of them are there: only the index's way to a row is wanted.
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version - excluded.version;
    END IF;

    -- The version of the event with each ord; 0 for one that is not appended.
    SELECT array_agg(CASE WHEN v.fresh THEN v.before + v.nth ELSE 0 END ORDER BY v.ord)
      INTO versions
      FROM (SELECT f.ord, f.fresh, h.before,
                   count(*) FILTER (WHERE f.fresh)
                            OVER (PARTITION BY f.entity_id, f.tenant_id, f.entity_type
                                  ORDER BY f.ord ROWS UNBOUNDED PRECEDING)::integer AS nth
              FROM (SELECT s.ord, s.tenant_id, s.entity_type, s.entity_id,
                           (cardinality(known) = 0 OR s.event_id <> ALL (known))
                           AND (unique_ids OR s.ord IN (SELECT min(same.ord)
                                                          FROM pg_temp.load_staging AS same
                                                         GROUP BY same.event_id)) AS fresh
                      FROM pg_temp.load_staging AS s) AS f
              JOIN unnest(tenants, types, entities, befores)
                   AS h(tenant_id, entity_type, entity_id, before)
             USING (entity_id, tenant_id, entity_type)) AS v;

    INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                            schema_version, data, metadata, user_id, occurred_at, recorded_at)
    SELECT s.event_id, s.tenant_id, s.entity_type, s.entity_id, versions[s.ord], s.event_type,
           s.schema_version,
           CASE WHEN is_storable(s.data, s.metadata, s.occurred_at) THEN s.data
                ELSE refuse_unstorable(s.event_id, s.event_type, s.data, s.metadata,
                                       s.occurred_at) END,
           coalesce(nullif(s.metadata, 'null'), '{}'), s.user_id,
           coalesce(s.occurred_at, clock_timestamp()), clock_timestamp()
      FROM pg_temp.load_staging AS s
     WHERE versions[s.ord] > 0
     ORDER BY s.ord;
    GET DIAGNOSTICS appended = ROW_COUNT;
    repeated := given - appended;
    last_position := last_assigned_position();
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION load_events() IS
    'Append the events of load_staging in the order of ord, with every guarantee of append_events:
versions, retries by event_id, safe head, tenants. It knows no expected_version';

REVOKE EXECUTE ON FUNCTION prepare_load(), load_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prepare_load(), load_events() TO qforge_admin;

-- Where the tables beside the live ones are, under the names of the live ones. Nobody but their
-- owner gets in, so that a half-filled table is seen by no reader.
CREATE SCHEMA qforge_shadow;
COMMENT ON SCHEMA qforge_shadow IS 'Tables that a rebuild is filling; empty while none runs';
CREATE SCHEMA qforge_kept;
COMMENT ON SCHEMA qforge_kept IS 'Tables as they were before the last rebuild that kept them';

GRANT SELECT ON projection_copies
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

-- Reasons quote payloads, so they are for the tenant whose event it is.
ALTER TABLE projection_dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON projection_dead_letters FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON projection_dead_letters TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);
GRANT SELECT ON projection_dead_letters TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_dead_letters TO qforge_projector, qforge_admin;

-- Readers may not read the log; how many events there are is no secret to those whose they are.
CREATE FUNCTION count_visible_events(since timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT count(*) FROM event_logs
     WHERE recorded_at >= since
       AND (acts_for_every_tenant() OR tenant_id = (SELECT current_tenant()))
$$;

COMMENT ON FUNCTION count_visible_events(timestamptz) IS
    'How many events were recorded since then, of the tenant that the session acts for';

CREATE FUNCTION count_visible_events_by_type() RETURNS TABLE (event_type text, events bigint)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT l.event_type, count(*) FROM event_logs AS l
     WHERE acts_for_every_tenant() OR l.tenant_id = (SELECT current_tenant())
     GROUP BY l.event_type
$$;

COMMENT ON FUNCTION count_visible_events_by_type() IS
    'How many events of each type there are, of the tenant that the session acts for';

CREATE FUNCTION count_visible_rows(relation regclass) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
    estimate bigint;
    rows bigint;
BEGIN
    -- Who may see every row is not made to wait for all of them to be counted.
    SELECT reltuples INTO estimate FROM pg_class WHERE oid = relation;
    IF acts_for_every_tenant() AND estimate >= 100000 THEN
        RETURN estimate;
    END IF;
    EXECUTE format('SELECT count(*) FROM %s', relation) INTO rows;
    RETURN rows;
END
$$;

COMMENT ON FUNCTION count_visible_rows(regclass) IS
    'How many rows of a table the session may see; as last estimated where it sees all of many';

CREATE VIEW system_health WITH (security_invoker = true) AS
SELECT queue.pending, queue.running, queue.completed, queue.failed,
       count_visible_events(now() - interval '1 minute') AS events_per_minute,
       log.head,
       (SELECT coalesce(jsonb_object_agg(c.projection, greatest(log.head - c.position, 0)), '{}')
          FROM projection_checkpoints AS c) AS lag,
       (SELECT count(*) FROM projection_dead_letters AS d
         WHERE d.copy = 'live' AND d.discarded_at IS NULL) AS dead_letters,
       (SELECT coalesce(sum(s.events), 0)::bigint FROM spools AS s) AS spool_depth,
       (SELECT max(s.reported_at) FROM spools AS s) AS spool_reported_at,
       engine.program AS engine, engine.program_version AS engine_version,
       engine.started_at AS engine_seen_at
  FROM (SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
               count(*) FILTER (WHERE status = 'running') AS running,
               count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status IN ('failed', 'lost')) AS failed
          FROM calculations) AS queue
 CROSS JOIN (SELECT safe_head() AS head) AS log
  LEFT JOIN (SELECT program, program_version, started_at FROM calculations
              WHERE started_at IS NOT NULL AND program IS NOT NULL
              ORDER BY started_at DESC LIMIT 1) AS engine ON true;

COMMENT ON VIEW system_health IS
    'One row: whether everything goes on, for the tenant that the session acts for. lag: positions
behind the head by projection. failed: failed or lost. spool_depth: events that wait on machines, as
last reported. Needs READ COMMITTED, as the safe head does';

GRANT SELECT ON system_health TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

CREATE VIEW database_stats WITH (security_invoker = true) AS
SELECT 'table' AS kind, c.relname::text AS name, count_visible_rows(c.oid::regclass) AS rows,
       -- How much all tenants have together is for those who administer.
       CASE WHEN acts_for_every_tenant() THEN pg_total_relation_size(c.oid) END AS bytes
  FROM pg_class AS c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
   AND has_table_privilege(c.oid, 'SELECT')
UNION ALL
SELECT 'event_type', e.event_type, e.events, NULL
  FROM count_visible_events_by_type() AS e;

COMMENT ON VIEW database_stats IS
    'Rows and bytes per table, and events per type, of the tenant that the session acts for; bytes
for those only who administer';

GRANT SELECT ON database_stats TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

GRANT SELECT ON qforge_version
   TO qforge_appender, qforge_projector, qforge_reader, qforge_auditor, qforge_admin;
