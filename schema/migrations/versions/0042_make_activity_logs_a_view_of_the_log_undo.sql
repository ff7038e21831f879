DROP VIEW activity_logs;

CREATE TABLE activity_logs (
    tenant_id uuid NOT NULL,
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid NOT NULL,
    details jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_position bigint NOT NULL,
    CONSTRAINT activity_logs_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX activity_logs_entity_idx ON activity_logs USING btree (tenant_id, entity_id, created_at);

CREATE INDEX activity_logs_user_idx ON activity_logs USING btree (tenant_id, user_id, created_at);

ALTER TABLE activity_logs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON activity_logs FOR SELECT
    USING (tenant_id = (( SELECT current_tenant() AS current_tenant)));

CREATE POLICY every_tenant ON activity_logs TO qforge_admin, qforge_projector
    USING (true)
    WITH CHECK (true);

GRANT DELETE, INSERT, SELECT, UPDATE ON activity_logs TO qforge_admin;
GRANT SELECT ON activity_logs TO qforge_auditor;
GRANT DELETE, INSERT, SELECT, UPDATE ON activity_logs TO qforge_projector;
GRANT SELECT ON activity_logs TO qforge_reader;

COMMENT ON TABLE activity_logs IS 'One row per event that a user caused';
COMMENT ON COLUMN activity_logs.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN activity_logs.id IS 'Position of the event in the log, which holds its payload';
COMMENT ON COLUMN activity_logs.user_id IS 'User who caused it';
COMMENT ON COLUMN activity_logs.action IS 'The event''s type';
COMMENT ON COLUMN activity_logs.entity_type IS 'Type of the entity';
COMMENT ON COLUMN activity_logs.entity_id IS 'Id of the entity';
COMMENT ON COLUMN activity_logs.details IS
    'The event''s short facts: no lists, no objects, no secrets, texts cut to 200 characters';
COMMENT ON COLUMN activity_logs.created_at IS 'Time of the row''s earliest event';
COMMENT ON COLUMN activity_logs.updated_at IS 'Time of the row''s latest event';
COMMENT ON COLUMN activity_logs.last_position IS 'Position of the last event folded into the row';
