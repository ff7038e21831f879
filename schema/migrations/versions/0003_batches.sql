CREATE TABLE batch_jobs (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	name TEXT NOT NULL, 
	user_id UUID, 
	status TEXT NOT NULL, 
	parameters JSONB NOT NULL, 
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

COMMENT ON COLUMN batch_jobs.id IS 'uuid5 of tenant and name';

COMMENT ON COLUMN batch_jobs.name IS 'What people call it';

COMMENT ON COLUMN batch_jobs.user_id IS 'Who started it';

COMMENT ON COLUMN batch_jobs.status IS 'pending, processing, completed, failed or cancelled';

COMMENT ON COLUMN batch_jobs.parameters IS 'Method, charge, solvent, … of its calculations';

COMMENT ON COLUMN batch_jobs.total_count IS 'Inputs that it accounts for';

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
	molecule_id UUID NOT NULL, 
	calculation_id UUID, 
	status TEXT NOT NULL, 
	retry_count BIGINT NOT NULL, 
	error_message TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT batch_items_pkey PRIMARY KEY (tenant_id, batch_id, molecule_id), 
	CONSTRAINT item_status_is_known CHECK (status IN ('pending', 'processing', 'completed', 'failed'))
);

CREATE INDEX batch_items_calculation_idx ON batch_items (tenant_id, calculation_id);

CREATE INDEX batch_items_status_idx ON batch_items (tenant_id, batch_id, status);

COMMENT ON TABLE batch_items IS 'One row per molecule in a batch';

COMMENT ON COLUMN batch_items.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN batch_items.batch_id IS 'The batch';

COMMENT ON COLUMN batch_items.molecule_id IS 'The molecule';

COMMENT ON COLUMN batch_items.calculation_id IS 'Its latest calculation in this batch';

COMMENT ON COLUMN batch_items.status IS 'pending, processing, completed or failed';

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

