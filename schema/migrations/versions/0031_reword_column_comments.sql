COMMENT ON COLUMN devices.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN devices.platform_id IS 'Id of the platform of the device';
COMMENT ON COLUMN devices.name IS 'Name of the device';
COMMENT ON COLUMN devices.qubits IS 'Number of qubits';
COMMENT ON COLUMN devices.status_reason IS 'Reason for the status';
COMMENT ON COLUMN devices.properties IS 'Topology, error rates, … as reported by the platform';
COMMENT ON COLUMN docking_results.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN docking_results.molecule_id IS 'Id of the molecule';
COMMENT ON COLUMN docking_results.protein_id IS 'Id of the protein structure';
COMMENT ON COLUMN docking_results.user_id IS 'User who requested it';
COMMENT ON COLUMN docking_results.binding_pose_s3_key IS 'Location of the pose';
COMMENT ON COLUMN docking_results.interactions IS
    'Hydrogen bonds, contacts, … as reported by the program';
COMMENT ON COLUMN errors.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN errors.service IS 'User affected';
COMMENT ON COLUMN errors.error_type IS 'Type of the error';
COMMENT ON COLUMN errors.message IS 'Message';
COMMENT ON COLUMN errors.stack_trace IS 'Stack trace';
COMMENT ON COLUMN errors.context IS 'Context of the error';
COMMENT ON COLUMN errors.correlated_id IS 'Entity that the error concerns';
COMMENT ON COLUMN job_results.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN job_results.counts IS 'Number of measurements of each bit string';
COMMENT ON COLUMN job_results.result_key IS 'Location of the complete result';
COMMENT ON COLUMN jobs.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN jobs.app_version_id IS 'Id of the version of the app';
COMMENT ON COLUMN jobs.device_id IS 'Id of the device';
COMMENT ON COLUMN jobs.user_id IS 'User who queued it';
COMMENT ON COLUMN jobs.shots IS 'Number of measurements';
COMMENT ON COLUMN jobs.parameters IS 'Parameters of the run';
COMMENT ON COLUMN jobs.queued_at IS 'Time at which it was queued';
COMMENT ON COLUMN jobs.started_at IS 'Start on the device';
COMMENT ON COLUMN jobs.finished_at IS 'End, successful or not';
COMMENT ON COLUMN jobs.error_message IS 'Reason of the failure';
COMMENT ON COLUMN marketplace_listings.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN marketplace_listings.app_id IS 'Id of the app';
COMMENT ON COLUMN marketplace_listings.user_id IS 'User who offers it';
COMMENT ON COLUMN marketplace_listings.title IS 'Title of the listing';
COMMENT ON COLUMN marketplace_listings.description IS 'Description for buyers';
COMMENT ON COLUMN marketplace_listings.price_cents IS
    'Price per month, in hundredths of the currency';
COMMENT ON COLUMN marketplace_listings.currency IS 'Currency code of ISO 4217';
COMMENT ON COLUMN molecule_properties_computed.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN molecule_properties_computed.computed_at IS 'Time at which they were computed';
COMMENT ON COLUMN molecules.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN molecules.smiles IS
    'Canonical SMILES; null for a molecule identified by its identity_key';
COMMENT ON COLUMN molecules.name IS 'Name given by a user';
COMMENT ON COLUMN molecules.user_id IS 'User who created it';
COMMENT ON COLUMN molecules.toolkit IS
    'Toolkit that canonicalised the SMILES or computed the key';
COMMENT ON COLUMN molecules.completed_calculation_count IS
    'Number of completions of its calculations';
COMMENT ON COLUMN molecules.retracted_calculation_count IS
    'Number of completed results that were invalidated later';
COMMENT ON COLUMN molecules.calculation_count IS
    'Number of completed calculations that are valid';
COMMENT ON COLUMN molecules.failed_calculation_count IS
    'Number of attempts that failed or were lost';
COMMENT ON COLUMN molecules.metadata IS 'Other facts of the events, as recorded';
COMMENT ON COLUMN organization_members.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN organization_members.joined_at IS 'Time at which the member last joined';
COMMENT ON COLUMN organization_members.left_at IS
    'Time at which the member left; null for a present member';
COMMENT ON COLUMN organizations.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN organizations.name IS 'Name of the organisation';
COMMENT ON COLUMN performance_metrics.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN performance_metrics.metric_name IS 'Name of the metric';
COMMENT ON COLUMN performance_metrics.value IS 'Measured value, in `unit`';
COMMENT ON COLUMN performance_metrics.unit IS 'Unit of the value: s, MB, 1/s, …';
COMMENT ON COLUMN performance_metrics.tags IS
    'Labels that distinguish measurements of the same name';
COMMENT ON COLUMN performance_metrics."timestamp" IS 'Time of the measurement';
COMMENT ON COLUMN performance_metrics_hourly.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN performance_metrics_hourly.metric_name IS 'Name of the metric';
COMMENT ON COLUMN performance_metrics_hourly.hour IS 'Start of the hour, in UTC';
COMMENT ON COLUMN performance_metrics_hourly.unit IS 'Unit of the latest value: s, MB, 1/s, …';
COMMENT ON COLUMN performance_metrics_hourly.count IS 'Number of measurements in this hour';
COMMENT ON COLUMN platforms.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN platforms.name IS 'Name of the platform';
COMMENT ON COLUMN platforms.provider IS 'Name of the provider';
COMMENT ON COLUMN platforms.api_url IS 'URL of its API';
COMMENT ON COLUMN projects.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN projects.user_id IS 'User who created it';
COMMENT ON COLUMN projects.name IS 'Name of the project';
COMMENT ON COLUMN projects.description IS 'Description';
COMMENT ON COLUMN projects.disease_target IS
    'Target of the project in words: what to treat or to bind';
COMMENT ON COLUMN projects.molecule_count IS 'Number of molecules';
COMMENT ON COLUMN projects.prediction_count IS 'Number of ADMET predictions';
COMMENT ON COLUMN projects.structure_count IS 'Number of protein structures';
COMMENT ON COLUMN projects.docking_count IS 'Number of docking results';
COMMENT ON COLUMN protein_structures.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN protein_structures.user_id IS 'User who added it';
COMMENT ON COLUMN protein_structures.pdb_id IS 'Id of its entry in the Protein Data Bank';
COMMENT ON COLUMN protein_structures.pdb_file_s3_key IS 'Location of the file';
COMMENT ON COLUMN quantum_apps.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN quantum_apps.user_id IS 'User who created it';
COMMENT ON COLUMN quantum_apps.name IS 'Name of the app';
COMMENT ON COLUMN quantum_apps.description IS 'Description';
COMMENT ON COLUMN quantum_apps.version_count IS 'Number of published versions';
COMMENT ON COLUMN quantum_apps.latest_version IS 'Version published last';
COMMENT ON COLUMN spools.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN spools.events IS 'Number of events in the spool at the last report';
COMMENT ON COLUMN spools.bytes IS 'Size of the spool in bytes';
COMMENT ON COLUMN spools.rejected IS 'Number of appends that the database rejected';
COMMENT ON COLUMN spools.oldest_at IS 'Time at which the oldest of the events occurred';
COMMENT ON COLUMN spools.reported_at IS 'Time of the last report';
COMMENT ON COLUMN subscription_keys.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN subscription_keys.subscription_id IS 'Id of the subscription';
COMMENT ON COLUMN subscription_keys.key_prefix IS 'First characters of the key, for recognition';
COMMENT ON COLUMN subscription_keys.issued_at IS 'Time at which the key was shown, once';
COMMENT ON COLUMN subscription_keys.revoked_at IS 'Time from which the key is no longer accepted';
COMMENT ON COLUMN subscriptions.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN subscriptions.listing_id IS 'Id of the listing';
COMMENT ON COLUMN subscriptions.user_id IS 'User who subscribes';
COMMENT ON COLUMN subscriptions.plan IS 'Chosen plan';
COMMENT ON COLUMN subscriptions.period_start IS 'Start of the current period';
COMMENT ON COLUMN subscriptions.period_end IS 'End of the current period';
COMMENT ON COLUMN user_api_keys.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN user_api_keys.user_id IS 'User on whose behalf the key acts';
COMMENT ON COLUMN user_api_keys.name IS 'Purpose of the key';
COMMENT ON COLUMN user_api_keys.prefix IS 'First characters of the key, for recognition';
COMMENT ON COLUMN user_api_keys.key_hash IS 'SHA-256 of the key; the key itself was shown once';
COMMENT ON COLUMN user_api_keys.scopes IS 'Scopes of the key';
COMMENT ON COLUMN user_api_keys.rate_limit IS
    'Maximum number of requests per minute; null: no limit';
COMMENT ON COLUMN user_api_keys.usage_quota IS
    'Maximum number of requests in total; null: no limit';
COMMENT ON COLUMN user_api_keys.last_used_at IS 'Time of the last successful use';
COMMENT ON COLUMN user_api_keys.expires_at IS 'Time at which the key expires; null: never';
COMMENT ON COLUMN user_api_keys.revoked_at IS 'Time at which the key was revoked';
COMMENT ON COLUMN user_audit_log.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN user_audit_log.user_id IS
    'User who acted or tried to act; null for the system itself';
COMMENT ON COLUMN user_audit_log.entity_type IS 'Type of the entity acted on, if known';
COMMENT ON COLUMN user_audit_log.entity_id IS 'Id of the entity acted on, if known';
COMMENT ON COLUMN user_audit_log.changes IS
    'Value of each changed field before and after: {field: {old, new}}';
COMMENT ON COLUMN user_audit_log.ip_address IS 'Address from which the request came';
COMMENT ON COLUMN user_audit_log.user_agent IS 'Program that sent the request';
COMMENT ON COLUMN user_audit_log.reason IS 'Reason for the action, or for its denial';
COMMENT ON COLUMN user_preferences.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN user_preferences.display_precision IS 'Number of decimals shown';
COMMENT ON COLUMN user_preferences.default_optimization_level IS
    'Optimisation level of new calculations';
COMMENT ON COLUMN user_preferences.default_method IS 'Method of new calculations';
COMMENT ON COLUMN user_preferences.default_solvation IS 'Solvation of new calculations';
COMMENT ON COLUMN user_preferences.enable_slack_notifications IS
    'Whether to send messages to Slack';
COMMENT ON COLUMN user_preferences.slack_webhook_url IS
    'Encrypted URL of a Slack webhook; only a holder of the key can decrypt it';
COMMENT ON COLUMN user_preferences.notification_on_completion IS
    'Whether to notify when a batch is done';
COMMENT ON COLUMN user_preferences.notification_on_error IS 'Whether to notify of failures';
COMMENT ON COLUMN user_profiles.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN user_profiles.bio IS 'Short text about the user';
COMMENT ON COLUMN user_profiles.avatar_url IS 'URL of a picture';
COMMENT ON COLUMN user_profiles.website IS 'URL of the user''s website';
COMMENT ON COLUMN user_profiles.affiliation IS 'Affiliation, as shown to others';
COMMENT ON COLUMN user_sessions.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN user_sessions.user_id IS 'User of the session';
COMMENT ON COLUMN user_sessions.token_hash IS 'SHA-256 of the token held by the browser';
COMMENT ON COLUMN user_sessions.current_view IS 'Page that is shown';
COMMENT ON COLUMN user_sessions.active_molecule_id IS 'Molecule being edited';
COMMENT ON COLUMN user_sessions.active_calculation_id IS 'Calculation being viewed';
COMMENT ON COLUMN user_sessions.editor_content IS 'Contents of the editor, saved or not';
COMMENT ON COLUMN user_sessions.sidebar_state IS 'Which panels are collapsed and which are open';
COMMENT ON COLUMN user_sessions.ui_preferences IS 'Other state of the pages';
COMMENT ON COLUMN user_sessions.last_activity IS 'Time of the last activity';
COMMENT ON COLUMN user_sessions.expires_at IS 'Time at which the token expires';
COMMENT ON COLUMN users.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN users.hashed_password IS
    'Hash of the password; null for a user who signs in elsewhere';
COMMENT ON COLUMN users.full_name IS 'Full name';
COMMENT ON COLUMN users.institution IS 'Affiliation';
COMMENT ON COLUMN users.is_active IS 'Whether the account is active';
COMMENT ON COLUMN users.two_factor_enabled IS 'Whether a second factor is required';
COMMENT ON COLUMN users.last_login_at IS 'Time of the last login';
COMMENT ON COLUMN published_head.published_at IS
    'Time at which the head was computed, by the database''s clock';
COMMENT ON COLUMN event_logs.tenant_id IS 'Tenant that owns the data';
COMMENT ON COLUMN event_logs.entity_type IS 'Type of the entity';
COMMENT ON COLUMN event_logs.entity_id IS 'Id of the entity; with tenant and type, the stream';
COMMENT ON COLUMN event_logs.version IS 'Version in the stream: 1, 2, …, without gaps';
COMMENT ON COLUMN event_logs.event_type IS 'Type of the event';
COMMENT ON COLUMN event_logs.data IS 'Payload of the event';
COMMENT ON COLUMN event_logs.user_id IS 'User who caused it; null for the system itself';
COMMENT ON COLUMN event_logs.occurred_at IS 'Time of occurrence, by the client''s clock';
COMMENT ON COLUMN event_logs.recorded_at IS 'Time of the append, by the database''s clock';
COMMENT ON COLUMN event_streams.tenant_id IS 'Tenant that owns the stream';
COMMENT ON COLUMN event_streams.entity_type IS 'Type of the entity';
COMMENT ON COLUMN event_streams.entity_id IS 'Id of the entity';
COMMENT ON COLUMN projection_checkpoints.fingerprint IS
    'Fingerprint of the definition that filled the table';
COMMENT ON COLUMN projection_checkpoints.consumed IS
    'Number of events of its types up to the position';
COMMENT ON COLUMN projection_checkpoints.updated_at IS
    'Time of the last move of the checkpoint, by the database''s clock';
COMMENT ON COLUMN projection_checkpoints.event_id IS
    'Id of the last event up to the position; null before the first move';
COMMENT ON COLUMN projection_copies.stage IS
    'Stage of the rebuild: filling, indexing, comparing, swapping';
COMMENT ON COLUMN projection_copies.fingerprint IS
    'Fingerprint of the definition that fills the copy';
COMMENT ON COLUMN projection_copies.consumed IS
    'Number of events of its types up to the position';
COMMENT ON COLUMN projection_copies.began_at IS
    'Time at which the copy was created, by the database''s clock';
COMMENT ON COLUMN projection_copies.updated_at IS
    'Time of the last move of the copy, by the database''s clock';
COMMENT ON COLUMN projection_dead_letters.copy IS
    'Copy of the table that leaves the event out: live; shadow: being filled; kept: before the last swap';
COMMENT ON COLUMN projection_dead_letters.tenant_id IS 'Tenant that owns the event';
COMMENT ON COLUMN projection_dead_letters.event_type IS 'Type of the event';
COMMENT ON COLUMN projection_dead_letters.reason IS
    'Message of the database when it last refused the event';
COMMENT ON COLUMN projection_dead_letters.parked_at IS
    'Time at which it was set aside, by the database''s clock';
COMMENT ON COLUMN projection_dead_letters.retries IS 'Number of retries since';
COMMENT ON COLUMN projection_dead_letters.retried_at IS
    'Time of the last retry; null if there was none';
COMMENT ON COLUMN projection_dead_letters.discarded_at IS
    'Time at which it was discarded; null while it waits';
COMMENT ON TABLE batch_job_performance IS
    'One row per batch: cost and outcomes of its jobs, which are the attempts at its calculations';
COMMENT ON TABLE bookmarks IS 'One row per bookmark of a user';
COMMENT ON TABLE calculation_execution_metrics IS
    'One row per calculation: its cost and convergence';
COMMENT ON TABLE errors IS 'One row per error of a service';
COMMENT ON TABLE performance_metrics_hourly IS 'One row per metric and hour';
COMMENT ON TABLE protein_structures IS
    'One row per protein structure; the file itself is stored elsewhere';
COMMENT ON TABLE spools IS 'One row per machine that has reported the size of its spool';
COMMENT ON TABLE subscription_keys IS
    'One row per key of a subscription; the key itself is not stored';
COMMENT ON TABLE user_api_keys IS 'One row per API key, including revoked ones';
COMMENT ON TABLE user_preferences IS
    'One row per user who changed a preference; null means the default';
COMMENT ON TABLE user_profiles IS 'One row per user with a public profile';
COMMENT ON TABLE user_sessions IS
    'One row per open session of a browser, with the state needed to resume it';
COMMENT ON TABLE event_streams IS
    'The head of each stream; an append locks the heads of its streams';
COMMENT ON TABLE projection_checkpoints IS
    'Checkpoint of each projection; updated in the transaction that changes its rows';
COMMENT ON TABLE projection_copies IS
    'Checkpoints of tables beside the live ones: shadow tables and kept tables';
COMMENT ON COLUMN activity_logs.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN activity_logs.id IS 'Position of the event in the log, which holds its payload';
COMMENT ON COLUMN activity_logs.user_id IS 'User who caused it';
COMMENT ON COLUMN activity_logs.entity_type IS 'Type of the entity';
COMMENT ON COLUMN activity_logs.entity_id IS 'Id of the entity';
COMMENT ON COLUMN admet_predictions.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN admet_predictions.molecule_id IS 'Id of the molecule';
COMMENT ON COLUMN admet_predictions.user_id IS 'User who requested it';
COMMENT ON COLUMN admet_predictions.results IS 'Predicted values, as returned by the model';
COMMENT ON COLUMN admet_predictions.confidence_score IS 'Confidence of the model, from 0 to 1';
COMMENT ON COLUMN api_usage_logs.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN api_usage_logs.user_id IS 'User who sent the request; null if not signed in';
COMMENT ON COLUMN api_usage_logs.response_time_ms IS 'Response time in ms';
COMMENT ON COLUMN api_usage_logs.error_message IS 'Error message';
COMMENT ON COLUMN app_versions.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN app_versions.app_id IS 'Id of the app';
COMMENT ON COLUMN app_versions.version IS 'Version number';
COMMENT ON COLUMN app_versions.changelog IS 'Changes in this version';
COMMENT ON COLUMN app_versions.artifact_key IS 'Location of the code';
COMMENT ON COLUMN app_versions.user_id IS 'User who published it';
COMMENT ON COLUMN app_versions.published_at IS 'Time from which it could be run';
COMMENT ON COLUMN app_versions.yanked_at IS 'Time from which it must not be run';
COMMENT ON COLUMN app_versions.yank_reason IS 'Reason why it must not be run';
COMMENT ON COLUMN atomic_properties.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN batch_item_names.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN batch_items.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN batch_items.name IS
    'Name of the molecule in the input of the batch; the last one of several names';
COMMENT ON COLUMN batch_items.status IS
    'pending, processing, completed or failed, as recorded by this batch; the present status is in calculations; null for an item that was named and never added';
COMMENT ON COLUMN batch_items.error_message IS 'Message of the latest failure';
COMMENT ON COLUMN batch_job_performance.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN batch_job_performance.execution_start_time IS 'Start of its first runner';
COMMENT ON COLUMN batch_job_performance.execution_end_time IS
    'End of its last runner; null while one is running';
COMMENT ON COLUMN batch_job_performance.failed_jobs IS
    'Number of attempts that failed or were lost';
COMMENT ON COLUMN batch_job_performance.invalidated_jobs IS
    'Results that were invalidated by a physical check or a person';
COMMENT ON COLUMN batch_job_performance.timeout_jobs IS
    'Failed attempts that exceeded their time limit';
COMMENT ON COLUMN batch_job_performance.untimed_jobs IS
    'Ended attempts whose wall time is unknown';
COMMENT ON COLUMN batch_job_performance.average_job_time IS
    'Mean wall time in s of the attempts whose time is known';
COMMENT ON COLUMN batch_job_performance.parallelization_efficiency IS
    'Share of the workers'' time between start and end that was spent on attempts: 1 is ideal';
COMMENT ON COLUMN batch_jobs.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN batch_jobs.name IS 'Name of the batch';
COMMENT ON COLUMN batch_jobs.user_id IS 'User who started it';
COMMENT ON COLUMN batch_jobs.parameters IS
    'Settings of its calculations: method, charge, solvent, …';
COMMENT ON COLUMN batch_jobs.source IS 'Input file as host:/path; null if the batch was named';
COMMENT ON COLUMN batch_jobs.total_count IS
    'Number of its items, of all runs and files; during a run, at least the number of inputs of that run';
COMMENT ON COLUMN batch_jobs.started_at IS 'Start of the first run';
COMMENT ON COLUMN batch_jobs.completed_at IS 'End of the last run, successful or not';
COMMENT ON COLUMN batch_jobs.metadata IS 'Other facts of the events, as recorded';
COMMENT ON COLUMN bookmarks.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN bookmarks.user_id IS 'User who set the bookmark';
COMMENT ON COLUMN bookmarks.entity_type IS 'Type of the bookmarked entity';
COMMENT ON COLUMN bookmarks.entity_id IS 'Id of the bookmarked entity';
COMMENT ON COLUMN bookmarks.label IS 'Label given by the user';
COMMENT ON COLUMN calculation_errors.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN calculation_errors.error_type IS 'Type of the error';
COMMENT ON COLUMN calculation_errors.error_message IS 'Message for a person';
COMMENT ON COLUMN calculation_errors.error_code IS 'Error code of the program, if it has one';
COMMENT ON COLUMN calculation_errors.stack_trace IS 'Stack trace or place of the error';
COMMENT ON COLUMN calculation_errors.retry_count IS 'Number of earlier attempts that failed';
COMMENT ON COLUMN calculation_errors.retry_attempts IS 'Errors of the earlier attempts';
COMMENT ON COLUMN calculation_errors.user_action_required IS 'Whether a person must intervene';
COMMENT ON COLUMN calculation_errors.resolution_notes IS 'How it was resolved';
COMMENT ON COLUMN calculation_errors.resolved_at IS 'Time at which it was resolved';
COMMENT ON COLUMN calculation_execution_metrics.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN calculation_execution_metrics.convergence_iterations IS
    'Total number of iterations until convergence';
COMMENT ON COLUMN calculation_execution_metrics.stdout_log IS 'Output of the program';
COMMENT ON COLUMN calculation_execution_metrics.stderr_log IS 'Standard error of the program';
COMMENT ON COLUMN calculations.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN calculations.batch_id IS
    'Batch that last ran it; batch_items lists all its batches';
COMMENT ON COLUMN calculations.user_id IS 'User who last requested it';
COMMENT ON COLUMN calculations.attempt IS
    'Number of the latest attempt, from 1; 0 before the first one';
COMMENT ON COLUMN calculations.convergence_status IS 'Convergence status';
COMMENT ON COLUMN calculations.started_at IS 'Start of the latest attempt';
COMMENT ON COLUMN calculations.completed_at IS 'End of the latest attempt, successful or not';
COMMENT ON COLUMN calculations.error_type IS 'Error type of the latest failure';
COMMENT ON COLUMN calculations.error_message IS 'Message of the latest failure';
COMMENT ON COLUMN calculations.metadata IS 'Other facts of the events, as recorded';
COMMENT ON COLUMN calculations.warnings IS
    'Reasons why an assumption may be wrong, as a list of texts';
COMMENT ON COLUMN calculations.geometry_source IS
    'Method by which the structure was generated, such as ETKDGv3+MMFF94; null for a given geometry';
COMMENT ON COLUMN calculations.geometry_warning IS 'Reason why a generated structure is doubtful';

-- The partitions of the log have copies of its comments.
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT i.inhrelid::regclass AS name, a.attname AS field,
               col_description(i.inhparent, a.attnum) AS meaning
          FROM pg_inherits AS i
          JOIN pg_attribute AS a ON a.attrelid = i.inhparent
          JOIN pg_attribute AS b ON b.attrelid = i.inhrelid AND b.attname = a.attname
         WHERE i.inhparent = 'event_logs'::regclass
           AND col_description(i.inhrelid, b.attnum) <> col_description(i.inhparent, a.attnum)
         ORDER BY i.inhrelid, a.attnum
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', part.name, part.field, part.meaning);
    END LOOP;
END $$;
