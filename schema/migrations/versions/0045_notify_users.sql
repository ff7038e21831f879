SET LOCAL check_function_bodies = off;

REVOKE ALL ON user_preferences FROM qforge_reader;

CREATE TABLE notifications (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    event_count bigint NOT NULL,
    attempt integer,
    error_message text,
    retry_at timestamp with time zone,
    message_id text,
    delivered_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_position bigint NOT NULL,
    CONSTRAINT channel_is_known CHECK (channel = ANY (ARRAY['email'::text, 'slack'::text])),
    CONSTRAINT kind_of_notification_is_known CHECK (kind = ANY (ARRAY['completion'::text, 'failure'::text, 'given_up'::text, 'regression'::text])),
    CONSTRAINT notification_status_is_known CHECK (status = ANY (ARRAY['queued'::text, 'delivered'::text, 'failing'::text, 'abandoned'::text])),
    CONSTRAINT notifications_pkey PRIMARY KEY (tenant_id, id)
);

CREATE TABLE performance_regressions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    day text NOT NULL,
    kind text NOT NULL,
    count bigint NOT NULL,
    average double precision NOT NULL,
    count_before bigint NOT NULL,
    average_before double precision NOT NULL,
    days_before bigint NOT NULL,
    versions jsonb NOT NULL,
    versions_before jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_position bigint NOT NULL,
    CONSTRAINT performance_regressions_pkey PRIMARY KEY (tenant_id, id)
);

ALTER TABLE user_preferences ADD COLUMN notification_on_give_up boolean;

ALTER TABLE user_preferences ADD COLUMN notification_on_regression boolean;

CREATE OR REPLACE FUNCTION may_append(entity_type text, event_type text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, 'qforge_appender'::name, 'USAGE'::text) OR pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, 'qforge_admin'::name, 'USAGE'::text) OR pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, CURRENT_USER, 'USAGE'::text) OR (((entity_type || '.'::text) || event_type) = ANY (ARRAY['admet_prediction.admet_prediction_deleted'::text, 'admet_prediction.admet_prediction_recorded'::text, 'batch.batch_cancelled'::text, 'batch.batch_completed'::text, 'batch.batch_created'::text, 'batch.batch_failed'::text, 'batch.batch_item_refused'::text, 'batch.batch_item_reused'::text, 'batch.batch_items_added'::text, 'batch.batch_items_named'::text, 'batch.batch_progressed'::text, 'batch.batch_resumed'::text, 'batch.batch_started'::text, 'batch.batch_stop_requested'::text, 'calculation.calculation_completed'::text, 'calculation.calculation_error_resolved'::text, 'calculation.calculation_failed'::text, 'calculation.calculation_given_up'::text, 'calculation.calculation_invalidated'::text, 'calculation.calculation_lost'::text, 'calculation.calculation_requested'::text, 'calculation.calculation_restored'::text, 'calculation.calculation_retry_scheduled'::text, 'calculation.calculation_started'::text, 'docking_result.docking_result_deleted'::text, 'docking_result.docking_result_recorded'::text, 'job.job_cancelled'::text, 'job.job_completed'::text, 'job.job_failed'::text, 'job.job_queued'::text, 'job.job_started'::text, 'metric_source.performance_metric'::text, 'molecule.molecule_added_to_project'::text, 'molecule.molecule_created'::text, 'molecule.molecule_deleted'::text, 'molecule.molecule_properties_computed'::text, 'molecule.molecule_removed_from_project'::text, 'molecule.molecule_updated'::text, 'protein_structure.protein_structure_added'::text, 'protein_structure.protein_structure_deleted'::text, 'service.error'::text, 'spool.spool_reported'::text])));

CREATE INDEX notifications_status_idx ON notifications USING btree (tenant_id, status, created_at);

CREATE INDEX notifications_user_idx ON notifications USING btree (tenant_id, user_id, created_at);

CREATE INDEX performance_regressions_day_idx ON performance_regressions USING btree (tenant_id, day);

ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;

ALTER TABLE performance_regressions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON notifications FOR SELECT
    USING (tenant_id = (( SELECT current_tenant() AS current_tenant)));

CREATE POLICY every_tenant ON notifications TO qforge_admin, qforge_projector
    USING (true)
    WITH CHECK (true);

CREATE POLICY own_tenant ON performance_regressions FOR SELECT
    USING (tenant_id = (( SELECT current_tenant() AS current_tenant)));

CREATE POLICY every_tenant ON performance_regressions TO qforge_admin, qforge_projector
    USING (true)
    WITH CHECK (true);

GRANT SELECT ON notifications TO qforge_reader;
GRANT SELECT ON notifications TO qforge_auditor;
GRANT DELETE, INSERT, SELECT, UPDATE ON notifications TO qforge_projector;
GRANT DELETE, INSERT, SELECT, UPDATE ON notifications TO qforge_admin;
GRANT SELECT ON performance_regressions TO qforge_reader;
GRANT SELECT ON performance_regressions TO qforge_auditor;
GRANT DELETE, INSERT, SELECT, UPDATE ON performance_regressions TO qforge_projector;
GRANT DELETE, INSERT, SELECT, UPDATE ON performance_regressions TO qforge_admin;
GRANT SELECT (tenant_id, user_id, display_units, display_precision, default_optimization_level, default_method, default_solvation, theme, language, enable_email_notifications, enable_slack_notifications, notification_on_completion, notification_on_error, created_at, updated_at, last_position, notification_on_give_up, notification_on_regression) ON user_preferences TO qforge_reader;

COMMENT ON COLUMN notifications.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN notifications.id IS 'uuid5 of tenant, first event, user, channel and kind';
COMMENT ON COLUMN notifications.user_id IS 'User to whom it is sent';
COMMENT ON COLUMN notifications.channel IS 'email or slack';
COMMENT ON COLUMN notifications.kind IS
    'What it tells of: completion, failure, given_up or regression';
COMMENT ON COLUMN notifications.status IS 'queued, delivered, failing or abandoned';
COMMENT ON COLUMN notifications.event_count IS 'Number of events that it tells of';
COMMENT ON COLUMN notifications.attempt IS 'Number of attempts to send it';
COMMENT ON COLUMN notifications.error_message IS
    'Why the last attempt failed, or why it is not sent';
COMMENT ON COLUMN notifications.retry_at IS 'Time of the next attempt';
COMMENT ON COLUMN notifications.message_id IS 'Message-ID of the mail';
COMMENT ON COLUMN notifications.delivered_at IS 'Time at which it was delivered';
COMMENT ON COLUMN notifications.created_at IS 'Time of the row''s earliest event';
COMMENT ON COLUMN notifications.updated_at IS 'Time of the row''s latest event';
COMMENT ON COLUMN notifications.last_position IS 'Position of the last event folded into the row';
COMMENT ON COLUMN performance_regressions.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN performance_regressions.id IS 'uuid5 of tenant, day and kind';
COMMENT ON COLUMN performance_regressions.day IS 'The day in UTC, as 2026-03-31';
COMMENT ON COLUMN performance_regressions.kind IS
    'Method, optimisation and size of the molecules';
COMMENT ON COLUMN performance_regressions.count IS 'Number of calculations on the day';
COMMENT ON COLUMN performance_regressions.average IS 'Their average wall time in s';
COMMENT ON COLUMN performance_regressions.count_before IS
    'Number of calculations on the days before';
COMMENT ON COLUMN performance_regressions.average_before IS 'Their average wall time in s';
COMMENT ON COLUMN performance_regressions.days_before IS 'Number of days compared with';
COMMENT ON COLUMN performance_regressions.versions IS 'Programs and versions on the day';
COMMENT ON COLUMN performance_regressions.versions_before IS
    'Programs and versions on the days before';
COMMENT ON COLUMN performance_regressions.created_at IS 'Time of the row''s earliest event';
COMMENT ON COLUMN performance_regressions.updated_at IS 'Time of the row''s latest event';
COMMENT ON COLUMN performance_regressions.last_position IS
    'Position of the last event folded into the row';
COMMENT ON COLUMN user_preferences.notification_on_give_up IS
    'Whether to notify of calculations that are not retried any more';
COMMENT ON COLUMN user_preferences.notification_on_regression IS
    'Whether to notify when calculations have become slower';
COMMENT ON TABLE notifications IS 'One row per message to a user';
COMMENT ON TABLE performance_regressions IS
    'One row per day and kind of calculation that took longer than on the days before';
