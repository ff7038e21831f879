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

