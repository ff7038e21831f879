COMMENT ON COLUMN devices.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN devices.platform_id IS 'Of which platform';
COMMENT ON COLUMN devices.name IS 'What it is called';
COMMENT ON COLUMN devices.qubits IS 'How many qubits it has';
COMMENT ON COLUMN devices.status_reason IS 'Why it is so';
COMMENT ON COLUMN devices.properties IS 'Topology, error rates, … as the platform tells them';
COMMENT ON COLUMN docking_results.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN docking_results.molecule_id IS 'Which molecule';
COMMENT ON COLUMN docking_results.protein_id IS 'To which protein structure';
COMMENT ON COLUMN docking_results.user_id IS 'Who asked for it';
COMMENT ON COLUMN docking_results.binding_pose_s3_key IS 'Where the pose is';
COMMENT ON COLUMN docking_results.interactions IS
    'Hydrogen bonds, contacts, … as the program gave them';
COMMENT ON COLUMN errors.tenant_id IS 'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN errors.service IS 'Who met it';
COMMENT ON COLUMN errors.error_type IS 'What kind it is';
COMMENT ON COLUMN errors.message IS 'What it said';
COMMENT ON COLUMN errors.stack_trace IS 'Where it was raised';
COMMENT ON COLUMN errors.context IS 'What the service knew when it met it';
COMMENT ON COLUMN errors.correlated_id IS 'The entity that it concerned';
COMMENT ON COLUMN job_results.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN job_results.counts IS 'How often each bit string was measured';
COMMENT ON COLUMN job_results.result_key IS 'Where the whole result is';
COMMENT ON COLUMN jobs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN jobs.app_version_id IS 'Which version of which app';
COMMENT ON COLUMN jobs.device_id IS 'On which device';
COMMENT ON COLUMN jobs.user_id IS 'Who queued it';
COMMENT ON COLUMN jobs.shots IS 'How often it is measured';
COMMENT ON COLUMN jobs.parameters IS 'What the app is given';
COMMENT ON COLUMN jobs.queued_at IS 'When it was queued';
COMMENT ON COLUMN jobs.started_at IS 'When the device began';
COMMENT ON COLUMN jobs.finished_at IS 'When it ended, well or badly';
COMMENT ON COLUMN jobs.error_message IS 'Why it failed';
COMMENT ON COLUMN marketplace_listings.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN marketplace_listings.app_id IS 'Of which app';
COMMENT ON COLUMN marketplace_listings.user_id IS 'Who offers it';
COMMENT ON COLUMN marketplace_listings.title IS 'Under which title';
COMMENT ON COLUMN marketplace_listings.description IS 'What buyers read';
COMMENT ON COLUMN marketplace_listings.price_cents IS 'A month, in hundredths of the currency';
COMMENT ON COLUMN marketplace_listings.currency IS 'Three letters of ISO 4217';
COMMENT ON COLUMN molecule_properties_computed.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN molecule_properties_computed.computed_at IS 'When they were computed';
COMMENT ON COLUMN molecules.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN molecules.smiles IS
    'Canonical SMILES; null for what is known by its identity_key';
COMMENT ON COLUMN molecules.name IS 'A name that people gave it';
COMMENT ON COLUMN molecules.user_id IS 'Who created it';
COMMENT ON COLUMN molecules.toolkit IS 'What canonicalised the SMILES or made the key';
COMMENT ON COLUMN molecules.completed_calculation_count IS
    'Times that one of its calculations completed';
COMMENT ON COLUMN molecules.retracted_calculation_count IS
    'Completed results that were invalidated later';
COMMENT ON COLUMN molecules.calculation_count IS 'Completed calculations that still count';
COMMENT ON COLUMN molecules.failed_calculation_count IS 'Attempts that failed or were lost';
COMMENT ON COLUMN molecules.metadata IS 'Whatever else the events told, as they told it';
COMMENT ON COLUMN organization_members.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN organization_members.joined_at IS 'When the member last joined';
COMMENT ON COLUMN organization_members.left_at IS 'When the member left; null while there';
COMMENT ON COLUMN organizations.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN organizations.name IS 'What it is called';
COMMENT ON COLUMN performance_metrics.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN performance_metrics.metric_name IS 'What was measured';
COMMENT ON COLUMN performance_metrics.value IS 'In `unit`';
COMMENT ON COLUMN performance_metrics.unit IS 'Of the value: s, MB, 1/s, …';
COMMENT ON COLUMN performance_metrics.tags IS 'By what it can be told from its like';
COMMENT ON COLUMN performance_metrics."timestamp" IS 'When it was measured';
COMMENT ON COLUMN performance_metrics_hourly.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN performance_metrics_hourly.metric_name IS 'What was measured';
COMMENT ON COLUMN performance_metrics_hourly.hour IS 'Begin of the hour, in UTC';
COMMENT ON COLUMN performance_metrics_hourly.unit IS 'Of the latest value: s, MB, 1/s, …';
COMMENT ON COLUMN performance_metrics_hourly.count IS 'Measurements in this hour';
COMMENT ON COLUMN platforms.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN platforms.name IS 'What it is called';
COMMENT ON COLUMN platforms.provider IS 'Whose it is';
COMMENT ON COLUMN platforms.api_url IS 'Where it is asked';
COMMENT ON COLUMN projects.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN projects.user_id IS 'Who created it';
COMMENT ON COLUMN projects.name IS 'What people call it';
COMMENT ON COLUMN projects.description IS 'What it is about';
COMMENT ON COLUMN projects.disease_target IS 'What it is to treat or bind, in words';
COMMENT ON COLUMN projects.molecule_count IS 'Molecules in it';
COMMENT ON COLUMN projects.prediction_count IS 'ADMET predictions in it';
COMMENT ON COLUMN projects.structure_count IS 'Protein structures in it';
COMMENT ON COLUMN projects.docking_count IS 'Docking results in it';
COMMENT ON COLUMN protein_structures.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN protein_structures.user_id IS 'Who added it';
COMMENT ON COLUMN protein_structures.pdb_id IS 'Its entry in the Protein Data Bank';
COMMENT ON COLUMN protein_structures.pdb_file_s3_key IS 'Where the file is';
COMMENT ON COLUMN quantum_apps.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN quantum_apps.user_id IS 'Who created it';
COMMENT ON COLUMN quantum_apps.name IS 'What people call it';
COMMENT ON COLUMN quantum_apps.description IS 'What it does';
COMMENT ON COLUMN quantum_apps.version_count IS 'Versions published';
COMMENT ON COLUMN quantum_apps.latest_version IS 'The version published last';
COMMENT ON COLUMN spools.tenant_id IS 'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN spools.events IS 'Events that waited when it last reported';
COMMENT ON COLUMN spools.bytes IS 'Bytes of the files that held them';
COMMENT ON COLUMN spools.rejected IS 'Appends that the database had refused';
COMMENT ON COLUMN spools.oldest_at IS 'When the first of the events happened';
COMMENT ON COLUMN spools.reported_at IS 'When it last reported';
COMMENT ON COLUMN subscription_keys.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN subscription_keys.subscription_id IS 'Of which subscription';
COMMENT ON COLUMN subscription_keys.key_prefix IS 'How the key begins, to tell keys apart';
COMMENT ON COLUMN subscription_keys.issued_at IS 'When it was shown, once';
COMMENT ON COLUMN subscription_keys.revoked_at IS 'From when on it opens nothing';
COMMENT ON COLUMN subscriptions.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN subscriptions.listing_id IS 'To which listing';
COMMENT ON COLUMN subscriptions.user_id IS 'Who subscribes';
COMMENT ON COLUMN subscriptions.plan IS 'What was chosen';
COMMENT ON COLUMN subscriptions.period_start IS 'When the current period began';
COMMENT ON COLUMN subscriptions.period_end IS 'When it ends';
COMMENT ON COLUMN user_api_keys.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
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
COMMENT ON COLUMN user_audit_log.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN user_audit_log.user_id IS 'Who did it, or tried; null for the system itself';
COMMENT ON COLUMN user_audit_log.entity_type IS 'What it was done to, as far as known';
COMMENT ON COLUMN user_audit_log.entity_id IS 'Which one';
COMMENT ON COLUMN user_audit_log.changes IS
    'By field, its value before and after: {field: {old, new}}';
COMMENT ON COLUMN user_audit_log.ip_address IS 'Where the request came from';
COMMENT ON COLUMN user_audit_log.user_agent IS 'With what';
COMMENT ON COLUMN user_audit_log.reason IS 'Why it was done, or denied';
COMMENT ON COLUMN user_profiles.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN user_profiles.bio IS 'A few words';
COMMENT ON COLUMN user_profiles.avatar_url IS 'A picture';
COMMENT ON COLUMN user_profiles.website IS 'A page of the user''s own';
COMMENT ON COLUMN user_profiles.affiliation IS 'Where the user works, as others may see it';
COMMENT ON COLUMN user_sessions.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN user_sessions.user_id IS 'Whose it is';
COMMENT ON COLUMN user_sessions.token_hash IS 'SHA-256 of the token that the browser holds';
COMMENT ON COLUMN user_sessions.current_view IS 'The page that is shown';
COMMENT ON COLUMN user_sessions.active_molecule_id IS 'The molecule that is edited';
COMMENT ON COLUMN user_sessions.active_calculation_id IS 'The calculation that is looked at';
COMMENT ON COLUMN user_sessions.editor_content IS 'What the editor holds, saved or not';
COMMENT ON COLUMN user_sessions.sidebar_state IS 'What is folded, what is open';
COMMENT ON COLUMN user_sessions.ui_preferences IS 'Whatever else the pages remember';
COMMENT ON COLUMN user_sessions.last_activity IS 'When something last happened in it';
COMMENT ON COLUMN user_sessions.expires_at IS 'Until when the token is good';
COMMENT ON COLUMN users.tenant_id IS 'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN users.hashed_password IS
    'What the password became; null where one signs in elsewhere';
COMMENT ON COLUMN users.full_name IS 'How the user is called';
COMMENT ON COLUMN users.institution IS 'Where the user works';
COMMENT ON COLUMN users.is_active IS 'Whether the account is open';
COMMENT ON COLUMN users.two_factor_enabled IS 'Whether a second factor is asked for';
COMMENT ON COLUMN users.last_login_at IS 'When the user last signed in';
COMMENT ON COLUMN published_head.published_at IS 'When that was known, by the database''s clock';
COMMENT ON COLUMN event_logs.tenant_id IS 'Who owns the data';
COMMENT ON COLUMN event_logs.entity_type IS 'What kind of thing it happened to';
COMMENT ON COLUMN event_logs.entity_id IS 'Which thing; with tenant and type, the stream';
COMMENT ON COLUMN event_logs.version IS '1, 2, … within the stream, dense';
COMMENT ON COLUMN event_logs.event_type IS 'What happened';
COMMENT ON COLUMN event_logs.data IS 'The event''s own facts';
COMMENT ON COLUMN event_logs.user_id IS 'Who did it; null for the system itself';
COMMENT ON COLUMN event_logs.occurred_at IS 'When it happened, by the client''s clock';
COMMENT ON COLUMN event_logs.recorded_at IS 'When it was appended, by the database''s clock';
COMMENT ON COLUMN event_streams.tenant_id IS 'Who owns the stream';
COMMENT ON COLUMN event_streams.entity_type IS 'What kind of thing';
COMMENT ON COLUMN event_streams.entity_id IS 'Which thing';
COMMENT ON COLUMN projection_checkpoints.fingerprint IS 'Of the definition that filled the table';
COMMENT ON COLUMN projection_checkpoints.consumed IS 'How many events of its types that were';
COMMENT ON COLUMN projection_checkpoints.updated_at IS
    'When the checkpoint last moved, by the database''s clock';
COMMENT ON COLUMN projection_checkpoints.event_id IS
    'Of the last event up to the position; null before the first move';
COMMENT ON COLUMN projection_copies.stage IS
    'What a rebuild does now: filling, indexing, comparing, swapping';
COMMENT ON COLUMN projection_copies.fingerprint IS 'Of the definition that fills the copy';
COMMENT ON COLUMN projection_copies.consumed IS 'How many events of its types that were';
COMMENT ON COLUMN projection_copies.began_at IS 'When the copy was made, by the database''s clock';
COMMENT ON COLUMN projection_copies.updated_at IS
    'When the copy last moved, by the database''s clock';
COMMENT ON COLUMN projection_dead_letters.copy IS
    'Whose table leaves the event out: live; shadow: being filled; kept: before the last swap';
COMMENT ON COLUMN projection_dead_letters.tenant_id IS 'Who owns the event';
COMMENT ON COLUMN projection_dead_letters.event_type IS 'What happened';
COMMENT ON COLUMN projection_dead_letters.reason IS
    'What the database said when it last refused the event';
COMMENT ON COLUMN projection_dead_letters.parked_at IS
    'When it was set aside, by the database''s clock';
COMMENT ON COLUMN projection_dead_letters.retries IS 'How often it was tried again since';
COMMENT ON COLUMN projection_dead_letters.retried_at IS
    'When it was last tried again; null for never';
COMMENT ON COLUMN projection_dead_letters.discarded_at IS
    'When somebody decided to do without it; null: it waits';
COMMENT ON COLUMN user_preferences.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN user_preferences.display_precision IS 'Decimals of shown numbers';
COMMENT ON COLUMN user_preferences.default_optimization_level IS 'Of new calculations';
COMMENT ON COLUMN user_preferences.default_method IS 'Of new calculations';
COMMENT ON COLUMN user_preferences.default_solvation IS 'Of new calculations';
COMMENT ON COLUMN user_preferences.enable_slack_notifications IS 'Whether to write to Slack';
COMMENT ON COLUMN user_preferences.slack_webhook_url IS
    'Encrypted; only the holder of the key can read it';
COMMENT ON COLUMN user_preferences.notification_on_completion IS
    'Whether to tell that a batch is done';
COMMENT ON COLUMN user_preferences.notification_on_error IS
    'Whether to tell that something failed';
COMMENT ON TABLE batch_job_performance IS
    'One row per batch: what its jobs, the attempts at its calculations, took and how they ended';
COMMENT ON TABLE bookmarks IS 'One row per thing that a person marked to find it again';
COMMENT ON TABLE calculation_execution_metrics IS
    'One row per calculation: what it cost and how it converged';
COMMENT ON TABLE errors IS 'One row per error that a service met';
COMMENT ON TABLE performance_metrics_hourly IS
    'One row per metric and hour: how it went over time';
COMMENT ON TABLE protein_structures IS
    'One row per structure of a protein; the file itself is elsewhere';
COMMENT ON TABLE spools IS
    'One row per machine that has reported what waits there for the database';
COMMENT ON TABLE subscription_keys IS
    'One row per key of a subscription; the key itself is nowhere';
COMMENT ON TABLE user_api_keys IS 'One row per key of the API, revoked ones too';
COMMENT ON TABLE user_profiles IS 'One row per user who shows something to others';
COMMENT ON TABLE user_sessions IS
    'One row per open session of a browser, with all it takes to come back to it';
COMMENT ON TABLE event_streams IS
    'The head of each stream; an append locks the heads that it touches';
COMMENT ON TABLE projection_checkpoints IS
    'How far each projection has come; moves in the transaction that moves its rows';
COMMENT ON TABLE projection_copies IS
    'Tables beside the live ones: how far a shadow, or a kept table, has come';
COMMENT ON TABLE user_preferences IS
    'One row per user who changed a preference; null: the default';
COMMENT ON COLUMN activity_logs.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN activity_logs.id IS 'Position of the event in the log, where its payload is';
COMMENT ON COLUMN activity_logs.user_id IS 'Who did it';
COMMENT ON COLUMN activity_logs.entity_type IS 'What it happened to';
COMMENT ON COLUMN activity_logs.entity_id IS 'Which one';
COMMENT ON COLUMN admet_predictions.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN admet_predictions.molecule_id IS 'Of which molecule';
COMMENT ON COLUMN admet_predictions.user_id IS 'Who asked for it';
COMMENT ON COLUMN admet_predictions.results IS 'As the model gave them';
COMMENT ON COLUMN admet_predictions.confidence_score IS 'How sure the model is, from 0 to 1';
COMMENT ON COLUMN api_usage_logs.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN api_usage_logs.user_id IS 'Who asked; null for somebody not signed in';
COMMENT ON COLUMN api_usage_logs.response_time_ms IS 'Time until the answer, in ms';
COMMENT ON COLUMN api_usage_logs.error_message IS 'What went wrong';
COMMENT ON COLUMN app_versions.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN app_versions.app_id IS 'Of which app';
COMMENT ON COLUMN app_versions.version IS 'Its number';
COMMENT ON COLUMN app_versions.changelog IS 'What is new';
COMMENT ON COLUMN app_versions.artifact_key IS 'Where its code is';
COMMENT ON COLUMN app_versions.user_id IS 'Who published it';
COMMENT ON COLUMN app_versions.published_at IS 'From when on it could be run';
COMMENT ON COLUMN app_versions.yanked_at IS 'From when on it must not be run';
COMMENT ON COLUMN app_versions.yank_reason IS 'Why it must not be run';
COMMENT ON COLUMN atomic_properties.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN batch_item_names.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN batch_items.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN batch_items.name IS
    'What the batch''s input calls the molecule; of several names the last';
COMMENT ON COLUMN batch_items.status IS
    'pending, processing, completed or failed, as far as this batch knows; what holds now is in calculations; null for what was named and never added';
COMMENT ON COLUMN batch_items.error_message IS 'What the latest failure said';
COMMENT ON COLUMN batch_job_performance.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN batch_job_performance.execution_start_time IS 'When its first runner began';
COMMENT ON COLUMN batch_job_performance.execution_end_time IS
    'When its last runner ended; null while one works';
COMMENT ON COLUMN batch_job_performance.failed_jobs IS 'Attempts that failed or were lost';
COMMENT ON COLUMN batch_job_performance.invalidated_jobs IS
    'Results that physics or a person refused';
COMMENT ON COLUMN batch_job_performance.timeout_jobs IS 'Failed attempts that took too long';
COMMENT ON COLUMN batch_job_performance.untimed_jobs IS
    'Ended attempts of which no time is known';
COMMENT ON COLUMN batch_job_performance.average_job_time IS
    'Mean wall time of an attempt in s, of those whose time is known';
COMMENT ON COLUMN batch_job_performance.parallelization_efficiency IS
    'Share of its workers'' time between start and end that attempts took: 1 is ideal';
COMMENT ON COLUMN batch_jobs.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN batch_jobs.name IS 'What people call it';
COMMENT ON COLUMN batch_jobs.user_id IS 'Who started it';
COMMENT ON COLUMN batch_jobs.parameters IS 'Method, charge, solvent, … of its calculations';
COMMENT ON COLUMN batch_jobs.source IS
    'The file whose batch it is, as host:/path; null if it was named';
COMMENT ON COLUMN batch_jobs.total_count IS
    'Its items, of all its runs and files; while it runs, at least the inputs of the last run';
COMMENT ON COLUMN batch_jobs.started_at IS 'When it first began';
COMMENT ON COLUMN batch_jobs.completed_at IS 'When it last ended, well or badly';
COMMENT ON COLUMN batch_jobs.metadata IS 'Whatever else the events told, as they told it';
COMMENT ON COLUMN bookmarks.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN bookmarks.user_id IS 'Who marked it';
COMMENT ON COLUMN bookmarks.entity_type IS 'What kind of thing it is';
COMMENT ON COLUMN bookmarks.entity_id IS 'Which one';
COMMENT ON COLUMN bookmarks.label IS 'What the person calls it';
COMMENT ON COLUMN calculation_errors.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN calculation_errors.error_type IS 'Why, as one of the known types';
COMMENT ON COLUMN calculation_errors.error_message IS 'What went wrong, for a person';
COMMENT ON COLUMN calculation_errors.error_code IS 'The program''s own code, if it has one';
COMMENT ON COLUMN calculation_errors.stack_trace IS 'Where it went wrong';
COMMENT ON COLUMN calculation_errors.retry_count IS 'Earlier attempts that failed';
COMMENT ON COLUMN calculation_errors.retry_attempts IS 'What is known of the earlier attempts';
COMMENT ON COLUMN calculation_errors.user_action_required IS 'Whether only a person can help';
COMMENT ON COLUMN calculation_errors.resolution_notes IS 'How it was dealt with';
COMMENT ON COLUMN calculation_errors.resolved_at IS 'When it was dealt with';
COMMENT ON COLUMN calculation_execution_metrics.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN calculation_execution_metrics.convergence_iterations IS
    'Iterations until convergence, all in all';
COMMENT ON COLUMN calculation_execution_metrics.stdout_log IS 'What the program printed';
COMMENT ON COLUMN calculation_execution_metrics.stderr_log IS
    'What the program printed on stderr';
COMMENT ON COLUMN calculations.tenant_id IS
    'Who owns the row: a person''s own space or an organisation';
COMMENT ON COLUMN calculations.batch_id IS
    'The batch that last ran it; its batches are in batch_items';
COMMENT ON COLUMN calculations.user_id IS 'Who last asked for it';
COMMENT ON COLUMN calculations.attempt IS
    'Number of the latest attempt, from 1; 0 while none has begun';
COMMENT ON COLUMN calculations.convergence_status IS 'How the calculation converged';
COMMENT ON COLUMN calculations.started_at IS 'When the latest attempt began';
COMMENT ON COLUMN calculations.completed_at IS 'When the latest attempt ended, well or badly';
COMMENT ON COLUMN calculations.error_type IS 'Why the latest attempt failed';
COMMENT ON COLUMN calculations.error_message IS 'What the latest failure said';
COMMENT ON COLUMN calculations.metadata IS 'Whatever else the events told, as they told it';
COMMENT ON COLUMN calculations.warnings IS
    'Why what was assumed may be wrong, as a list of texts';
COMMENT ON COLUMN calculations.geometry_source IS
    'How the structure was made, as ETKDGv3+MMFF94; null for a given geometry';
COMMENT ON COLUMN calculations.geometry_warning IS 'Why a structure so made is doubtful';

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
