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
	CONSTRAINT batch_items_pkey PRIMARY KEY (tenant_id, batch_id, calculation_id), 
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

ALTER TABLE batch_items ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON batch_items FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON batch_items TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON batch_items TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON batch_items TO qforge_projector, qforge_admin;

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

