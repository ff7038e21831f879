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

