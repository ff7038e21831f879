SET LOCAL check_function_bodies = off;

REVOKE ALL ON user_preferences FROM qforge_reader;

ALTER TABLE user_preferences DROP COLUMN notification_on_give_up;

ALTER TABLE user_preferences DROP COLUMN notification_on_regression;

DROP TABLE performance_regressions;

DELETE FROM projection_checkpoints WHERE projection = 'performance_regressions';

DROP TABLE notifications;

DELETE FROM projection_checkpoints WHERE projection = 'notifications';

CREATE OR REPLACE FUNCTION may_append(entity_type text, event_type text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, 'qforge_appender'::name, 'USAGE'::text) OR pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, 'qforge_admin'::name, 'USAGE'::text) OR pg_has_role((COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text))::name, CURRENT_USER, 'USAGE'::text) OR (((entity_type || '.'::text) || event_type) = ANY (ARRAY['admet_prediction.admet_prediction_deleted'::text, 'admet_prediction.admet_prediction_recorded'::text, 'batch.batch_cancelled'::text, 'batch.batch_completed'::text, 'batch.batch_created'::text, 'batch.batch_failed'::text, 'batch.batch_item_refused'::text, 'batch.batch_item_reused'::text, 'batch.batch_items_added'::text, 'batch.batch_items_named'::text, 'batch.batch_progressed'::text, 'batch.batch_resumed'::text, 'batch.batch_started'::text, 'batch.batch_stop_requested'::text, 'calculation.calculation_completed'::text, 'calculation.calculation_error_resolved'::text, 'calculation.calculation_failed'::text, 'calculation.calculation_invalidated'::text, 'calculation.calculation_lost'::text, 'calculation.calculation_requested'::text, 'calculation.calculation_restored'::text, 'calculation.calculation_retry_scheduled'::text, 'calculation.calculation_started'::text, 'docking_result.docking_result_deleted'::text, 'docking_result.docking_result_recorded'::text, 'job.job_cancelled'::text, 'job.job_completed'::text, 'job.job_failed'::text, 'job.job_queued'::text, 'job.job_started'::text, 'metric_source.performance_metric'::text, 'molecule.molecule_added_to_project'::text, 'molecule.molecule_created'::text, 'molecule.molecule_deleted'::text, 'molecule.molecule_properties_computed'::text, 'molecule.molecule_removed_from_project'::text, 'molecule.molecule_updated'::text, 'protein_structure.protein_structure_added'::text, 'protein_structure.protein_structure_deleted'::text, 'service.error'::text, 'spool.spool_reported'::text])));

GRANT SELECT (tenant_id, user_id, display_units, display_precision, default_optimization_level, default_method, default_solvation, theme, language, enable_email_notifications, enable_slack_notifications, notification_on_completion, notification_on_error, created_at, updated_at, last_position) ON user_preferences TO qforge_reader;
