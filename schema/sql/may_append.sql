CREATE FUNCTION may_append(entity_type text, event_type text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                'qforge_appender'::name, 'USAGE')
    OR pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_admin'::name, 'USAGE')
    -- The owner of the function that asks.
    OR pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   current_user::name, 'USAGE')
    -- What a machine that computes appends, and never accounts, roles or keys. Projections look at
    -- the type of an event only, so each type is listed with the entity type it is declared with.
    OR entity_type || '.' || event_type = ANY (ARRAY[
        'admet_prediction.admet_prediction_deleted',
        'admet_prediction.admet_prediction_recorded',
        'batch.batch_cancelled',
        'batch.batch_completed',
        'batch.batch_created',
        'batch.batch_failed',
        'batch.batch_item_refused',
        'batch.batch_item_reused',
        'batch.batch_items_added',
        'batch.batch_items_named',
        'batch.batch_progressed',
        'batch.batch_resumed',
        'batch.batch_started',
        'batch.batch_stop_requested',
        'calculation.calculation_completed',
        'calculation.calculation_error_resolved',
        'calculation.calculation_failed',
        'calculation.calculation_given_up',
        'calculation.calculation_invalidated',
        'calculation.calculation_lost',
        'calculation.calculation_requested',
        'calculation.calculation_restored',
        'calculation.calculation_retry_scheduled',
        'calculation.calculation_started',
        'docking_result.docking_result_deleted',
        'docking_result.docking_result_recorded',
        'job.job_cancelled',
        'job.job_completed',
        'job.job_failed',
        'job.job_queued',
        'job.job_started',
        'metric_source.performance_metric',
        'molecule.molecule_added_to_project',
        'molecule.molecule_created',
        'molecule.molecule_deleted',
        'molecule.molecule_properties_computed',
        'molecule.molecule_removed_from_project',
        'molecule.molecule_updated',
        'protein_structure.protein_structure_added',
        'protein_structure.protein_structure_deleted',
        'service.error',
        'spool.spool_reported'])
);

COMMENT ON FUNCTION may_append(text, text) IS
    'Whether the caller may append events of such a type to such entities: a member of qforge_worker
alone, those listed only. Of NULLs: true for who may append every type. Asked within a
security-definer function, where current_user is its owner';
