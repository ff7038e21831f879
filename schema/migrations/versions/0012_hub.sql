CREATE TABLE quantum_apps (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	project_id UUID, 
	user_id UUID, 
	name TEXT NOT NULL, 
	description TEXT, 
	visibility TEXT NOT NULL, 
	version_count BIGINT NOT NULL, 
	latest_version TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT quantum_apps_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT visibility_is_known CHECK (visibility IN ('private', 'unlisted', 'public'))
);

CREATE INDEX quantum_apps_name_idx ON quantum_apps (tenant_id, name);

CREATE INDEX quantum_apps_project_idx ON quantum_apps (tenant_id, project_id);

COMMENT ON TABLE quantum_apps IS 'One row per app that runs on quantum devices';

COMMENT ON COLUMN quantum_apps.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN quantum_apps.id IS 'The app';

COMMENT ON COLUMN quantum_apps.project_id IS 'Project that it belongs to';

COMMENT ON COLUMN quantum_apps.user_id IS 'Who created it';

COMMENT ON COLUMN quantum_apps.name IS 'What people call it';

COMMENT ON COLUMN quantum_apps.description IS 'What it does';

COMMENT ON COLUMN quantum_apps.visibility IS 'private, unlisted or public';

COMMENT ON COLUMN quantum_apps.version_count IS 'Versions published';

COMMENT ON COLUMN quantum_apps.latest_version IS 'The version published last';

COMMENT ON COLUMN quantum_apps.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN quantum_apps.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN quantum_apps.last_position IS 'Position of the last event folded into the row';

ALTER TABLE quantum_apps ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON quantum_apps FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON quantum_apps TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON quantum_apps TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON quantum_apps TO qforge_projector, qforge_admin;

CREATE TABLE app_versions (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	app_id UUID NOT NULL, 
	version TEXT NOT NULL, 
	changelog TEXT, 
	artifact_key TEXT NOT NULL, 
	user_id UUID, 
	published_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	yanked_at TIMESTAMP WITH TIME ZONE, 
	yank_reason TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT app_versions_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX app_versions_app_idx ON app_versions (tenant_id, app_id, published_at);

COMMENT ON TABLE app_versions IS 'One row per published version of an app';

COMMENT ON COLUMN app_versions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN app_versions.id IS 'uuid5 of app and version';

COMMENT ON COLUMN app_versions.app_id IS 'Of which app';

COMMENT ON COLUMN app_versions.version IS 'Its number';

COMMENT ON COLUMN app_versions.changelog IS 'What is new';

COMMENT ON COLUMN app_versions.artifact_key IS 'Where its code is';

COMMENT ON COLUMN app_versions.user_id IS 'Who published it';

COMMENT ON COLUMN app_versions.published_at IS 'From when on it could be run';

COMMENT ON COLUMN app_versions.yanked_at IS 'From when on it must not be run';

COMMENT ON COLUMN app_versions.yank_reason IS 'Why it must not be run';

COMMENT ON COLUMN app_versions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN app_versions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN app_versions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE app_versions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON app_versions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON app_versions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON app_versions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON app_versions TO qforge_projector, qforge_admin;

CREATE TABLE marketplace_listings (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	app_id UUID NOT NULL, 
	user_id UUID, 
	title TEXT NOT NULL, 
	description TEXT, 
	price_cents BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	status TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT marketplace_listings_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT listing_status_is_known CHECK (status IN ('draft', 'published', 'withdrawn')), 
	CONSTRAINT price_is_not_negative CHECK (price_cents >= 0)
);

CREATE INDEX marketplace_listings_app_idx ON marketplace_listings (tenant_id, app_id);

CREATE INDEX marketplace_listings_status_idx ON marketplace_listings (tenant_id, status);

COMMENT ON TABLE marketplace_listings IS 'One row per app offered for sale';

COMMENT ON COLUMN marketplace_listings.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN marketplace_listings.id IS 'The listing';

COMMENT ON COLUMN marketplace_listings.app_id IS 'Of which app';

COMMENT ON COLUMN marketplace_listings.user_id IS 'Who offers it';

COMMENT ON COLUMN marketplace_listings.title IS 'Under which title';

COMMENT ON COLUMN marketplace_listings.description IS 'What buyers read';

COMMENT ON COLUMN marketplace_listings.price_cents IS 'A month, in hundredths of the currency';

COMMENT ON COLUMN marketplace_listings.currency IS 'Three letters of ISO 4217';

COMMENT ON COLUMN marketplace_listings.status IS 'draft, published or withdrawn';

COMMENT ON COLUMN marketplace_listings.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN marketplace_listings.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN marketplace_listings.last_position IS 'Position of the last event folded into the row';

ALTER TABLE marketplace_listings ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON marketplace_listings FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON marketplace_listings TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON marketplace_listings TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON marketplace_listings TO qforge_projector, qforge_admin;

CREATE TABLE subscriptions (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	listing_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	plan TEXT NOT NULL, 
	status TEXT NOT NULL, 
	period_start TIMESTAMP WITH TIME ZONE NOT NULL, 
	period_end TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT subscription_status_is_known CHECK (status IN ('active', 'past_due', 'cancelled'))
);

CREATE INDEX subscriptions_listing_idx ON subscriptions (tenant_id, listing_id, status);

CREATE INDEX subscriptions_period_idx ON subscriptions (tenant_id, period_end);

CREATE INDEX subscriptions_user_idx ON subscriptions (tenant_id, user_id);

COMMENT ON TABLE subscriptions IS 'One row per subscription to a listing';

COMMENT ON COLUMN subscriptions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN subscriptions.id IS 'The subscription';

COMMENT ON COLUMN subscriptions.listing_id IS 'To which listing';

COMMENT ON COLUMN subscriptions.user_id IS 'Who subscribes';

COMMENT ON COLUMN subscriptions.plan IS 'What was chosen';

COMMENT ON COLUMN subscriptions.status IS 'active, past_due or cancelled';

COMMENT ON COLUMN subscriptions.period_start IS 'When the current period began';

COMMENT ON COLUMN subscriptions.period_end IS 'When it ends';

COMMENT ON COLUMN subscriptions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN subscriptions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN subscriptions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON subscriptions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON subscriptions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON subscriptions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions TO qforge_projector, qforge_admin;

CREATE TABLE subscription_keys (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	subscription_id UUID NOT NULL, 
	key_prefix TEXT NOT NULL, 
	key_hash TEXT NOT NULL, 
	issued_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT subscription_keys_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX subscription_keys_hash_idx ON subscription_keys (tenant_id, key_hash);

CREATE INDEX subscription_keys_subscription_idx ON subscription_keys (tenant_id, subscription_id);

COMMENT ON TABLE subscription_keys IS 'One row per key of a subscription; the key itself is nowhere';

COMMENT ON COLUMN subscription_keys.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN subscription_keys.id IS 'The key''s id, not the key';

COMMENT ON COLUMN subscription_keys.subscription_id IS 'Of which subscription';

COMMENT ON COLUMN subscription_keys.key_prefix IS 'How the key begins, to tell keys apart';

COMMENT ON COLUMN subscription_keys.key_hash IS 'SHA-256 of the key, as sha256: and hexadecimal';

COMMENT ON COLUMN subscription_keys.issued_at IS 'When it was shown, once';

COMMENT ON COLUMN subscription_keys.revoked_at IS 'From when on it opens nothing';

COMMENT ON COLUMN subscription_keys.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN subscription_keys.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN subscription_keys.last_position IS 'Position of the last event folded into the row';

ALTER TABLE subscription_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON subscription_keys FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON subscription_keys TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON subscription_keys TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscription_keys TO qforge_projector, qforge_admin;

CREATE TABLE platforms (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	name TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	api_url TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT platforms_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX platforms_name_idx ON platforms (tenant_id, name);

COMMENT ON TABLE platforms IS 'One row per provider''s platform of quantum devices';

COMMENT ON COLUMN platforms.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN platforms.id IS 'The platform';

COMMENT ON COLUMN platforms.name IS 'What it is called';

COMMENT ON COLUMN platforms.provider IS 'Whose it is';

COMMENT ON COLUMN platforms.api_url IS 'Where it is asked';

COMMENT ON COLUMN platforms.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN platforms.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN platforms.last_position IS 'Position of the last event folded into the row';

ALTER TABLE platforms ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON platforms FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON platforms TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON platforms TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON platforms TO qforge_projector, qforge_admin;

CREATE TABLE devices (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	platform_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	qubits INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	status_reason TEXT, 
	properties JSONB, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT devices_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT device_status_is_known CHECK (status IN ('online', 'offline', 'maintenance')), 
	CONSTRAINT device_has_qubits CHECK (qubits > 0)
);

CREATE INDEX devices_platform_idx ON devices (tenant_id, platform_id);

CREATE INDEX devices_status_idx ON devices (tenant_id, status);

COMMENT ON TABLE devices IS 'One row per quantum device';

COMMENT ON COLUMN devices.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN devices.id IS 'The device';

COMMENT ON COLUMN devices.platform_id IS 'Of which platform';

COMMENT ON COLUMN devices.name IS 'What it is called';

COMMENT ON COLUMN devices.qubits IS 'How many qubits it has';

COMMENT ON COLUMN devices.status IS 'online, offline or maintenance';

COMMENT ON COLUMN devices.status_reason IS 'Why it is so';

COMMENT ON COLUMN devices.properties IS 'Topology, error rates, … as the platform tells them';

COMMENT ON COLUMN devices.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN devices.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN devices.last_position IS 'Position of the last event folded into the row';

ALTER TABLE devices ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON devices FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON devices TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON devices TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON devices TO qforge_projector, qforge_admin;

CREATE TABLE jobs (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	app_version_id UUID NOT NULL, 
	device_id UUID NOT NULL, 
	user_id UUID, 
	status TEXT NOT NULL, 
	shots BIGINT NOT NULL, 
	parameters JSONB NOT NULL, 
	queued_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	error_message TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT job_status_is_known CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')), 
	CONSTRAINT shots_are_positive CHECK (shots > 0)
);

CREATE INDEX jobs_device_idx ON jobs (tenant_id, device_id, status);

CREATE INDEX jobs_status_idx ON jobs (tenant_id, status, queued_at);

CREATE INDEX jobs_user_idx ON jobs (tenant_id, user_id, queued_at);

CREATE INDEX jobs_version_idx ON jobs (tenant_id, app_version_id);

COMMENT ON TABLE jobs IS 'One row per run of an app''s version on a device';

COMMENT ON COLUMN jobs.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN jobs.id IS 'The job';

COMMENT ON COLUMN jobs.app_version_id IS 'Which version of which app';

COMMENT ON COLUMN jobs.device_id IS 'On which device';

COMMENT ON COLUMN jobs.user_id IS 'Who queued it';

COMMENT ON COLUMN jobs.status IS 'queued, running, completed, failed or cancelled';

COMMENT ON COLUMN jobs.shots IS 'How often it is measured';

COMMENT ON COLUMN jobs.parameters IS 'What the app is given';

COMMENT ON COLUMN jobs.queued_at IS 'When it was queued';

COMMENT ON COLUMN jobs.started_at IS 'When the device began';

COMMENT ON COLUMN jobs.finished_at IS 'When it ended, well or badly';

COMMENT ON COLUMN jobs.error_message IS 'Why it failed';

COMMENT ON COLUMN jobs.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN jobs.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN jobs.last_position IS 'Position of the last event folded into the row';

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON jobs FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON jobs TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON jobs TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO qforge_projector, qforge_admin;

CREATE TABLE job_results (
	tenant_id UUID NOT NULL, 
	job_id UUID NOT NULL, 
	counts JSONB NOT NULL, 
	fidelity DOUBLE PRECISION, 
	execution_time_seconds DOUBLE PRECISION NOT NULL, 
	result_key TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT job_results_pkey PRIMARY KEY (tenant_id, job_id), 
	CONSTRAINT fidelity_is_a_fraction CHECK (fidelity BETWEEN 0 AND 1), 
	CONSTRAINT execution_time_is_not_negative CHECK (execution_time_seconds >= 0)
);

COMMENT ON TABLE job_results IS 'One row per completed job';

COMMENT ON COLUMN job_results.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN job_results.job_id IS 'The job';

COMMENT ON COLUMN job_results.counts IS 'How often each bit string was measured';

COMMENT ON COLUMN job_results.fidelity IS 'Fidelity, from 0 to 1';

COMMENT ON COLUMN job_results.execution_time_seconds IS 'Time on the device in s';

COMMENT ON COLUMN job_results.result_key IS 'Where the whole result is';

COMMENT ON COLUMN job_results.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN job_results.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN job_results.last_position IS 'Position of the last event folded into the row';

ALTER TABLE job_results ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON job_results FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON job_results TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON job_results TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON job_results TO qforge_projector, qforge_admin;

