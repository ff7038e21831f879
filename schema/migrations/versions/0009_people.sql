CREATE TABLE users (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	email TEXT NOT NULL, 
	username TEXT NOT NULL, 
	hashed_password TEXT, 
	full_name TEXT, 
	institution TEXT, 
	role TEXT NOT NULL, 
	tier TEXT NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	two_factor_enabled BOOLEAN NOT NULL, 
	last_login_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT role_is_known CHECK (role IN ('admin', 'researcher', 'viewer')), 
	CONSTRAINT password_is_hashed CHECK (hashed_password ~ '^\$(argon2id|scrypt)\$')
);

CREATE INDEX users_email_idx ON users (tenant_id, email);

CREATE INDEX users_username_idx ON users (tenant_id, username);

COMMENT ON TABLE users IS 'One row per user';

COMMENT ON COLUMN users.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN users.id IS 'The user';

COMMENT ON COLUMN users.email IS 'E-mail address, unique in the tenant whatever its case';

COMMENT ON COLUMN users.username IS 'User name, unique in the tenant whatever its case';

COMMENT ON COLUMN users.hashed_password IS 'What the password became; null where one signs in elsewhere';

COMMENT ON COLUMN users.full_name IS 'How the user is called';

COMMENT ON COLUMN users.institution IS 'Where the user works';

COMMENT ON COLUMN users.role IS 'admin, researcher or viewer';

COMMENT ON COLUMN users.tier IS 'free, …';

COMMENT ON COLUMN users.is_active IS 'Whether the account is open';

COMMENT ON COLUMN users.two_factor_enabled IS 'Whether a second factor is asked for';

COMMENT ON COLUMN users.last_login_at IS 'When the user last signed in';

COMMENT ON COLUMN users.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN users.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN users.last_position IS 'Position of the last event folded into the row';

ALTER TABLE users ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON users FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON users TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON users TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON users TO qforge_projector, qforge_admin;

CREATE TABLE user_profiles (
	tenant_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	bio TEXT, 
	avatar_url TEXT, 
	website TEXT, 
	orcid TEXT, 
	affiliation TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT user_profiles_pkey PRIMARY KEY (tenant_id, user_id)
);

COMMENT ON TABLE user_profiles IS 'One row per user who shows something to others';

COMMENT ON COLUMN user_profiles.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_profiles.user_id IS 'The user';

COMMENT ON COLUMN user_profiles.bio IS 'A few words';

COMMENT ON COLUMN user_profiles.avatar_url IS 'A picture';

COMMENT ON COLUMN user_profiles.website IS 'A page of the user''s own';

COMMENT ON COLUMN user_profiles.orcid IS 'ORCID iD, 0000-0000-0000-0000';

COMMENT ON COLUMN user_profiles.affiliation IS 'Where the user works, as others may see it';

COMMENT ON COLUMN user_profiles.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_profiles.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_profiles.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_profiles FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_profiles TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_profiles TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_profiles TO qforge_projector, qforge_admin;

CREATE TABLE user_preferences (
	tenant_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	display_units TEXT, 
	display_precision INTEGER, 
	default_optimization_level TEXT, 
	default_method TEXT, 
	default_solvation TEXT, 
	theme TEXT, 
	language TEXT, 
	enable_email_notifications BOOLEAN, 
	enable_slack_notifications BOOLEAN, 
	slack_webhook_url TEXT, 
	notification_on_completion BOOLEAN, 
	notification_on_error BOOLEAN, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT user_preferences_pkey PRIMARY KEY (tenant_id, user_id), 
	CONSTRAINT display_units_are_known CHECK (display_units IN ('hartree', 'ev')), 
	CONSTRAINT theme_is_known CHECK (theme IN ('light', 'dark', 'auto')), 
	CONSTRAINT slack_webhook_url_is_encrypted CHECK (slack_webhook_url LIKE 'gAAAA%%')
);

COMMENT ON TABLE user_preferences IS 'One row per user who changed a preference; null: the default';

COMMENT ON COLUMN user_preferences.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_preferences.user_id IS 'The user';

COMMENT ON COLUMN user_preferences.display_units IS 'Unit in which energies are shown: hartree or ev';

COMMENT ON COLUMN user_preferences.display_precision IS 'Decimals of shown numbers';

COMMENT ON COLUMN user_preferences.default_optimization_level IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.default_method IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.default_solvation IS 'Of new calculations';

COMMENT ON COLUMN user_preferences.theme IS 'light, dark or auto';

COMMENT ON COLUMN user_preferences.language IS 'BCP 47 tag: en, de-CH, …';

COMMENT ON COLUMN user_preferences.enable_email_notifications IS 'Whether to send e-mail';

COMMENT ON COLUMN user_preferences.enable_slack_notifications IS 'Whether to write to Slack';

COMMENT ON COLUMN user_preferences.slack_webhook_url IS 'Encrypted; only the holder of the key can read it';

COMMENT ON COLUMN user_preferences.notification_on_completion IS 'Whether to tell that a batch is done';

COMMENT ON COLUMN user_preferences.notification_on_error IS 'Whether to tell that something failed';

COMMENT ON COLUMN user_preferences.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_preferences.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_preferences.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_preferences ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_preferences FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_preferences TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_preferences TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_preferences TO qforge_projector, qforge_admin;

CREATE TABLE user_sessions (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	token_hash TEXT NOT NULL, 
	current_view TEXT, 
	active_molecule_id UUID, 
	active_calculation_id UUID, 
	editor_content JSONB, 
	sidebar_state JSONB, 
	theme_preference TEXT, 
	ui_preferences JSONB, 
	last_activity TIMESTAMP WITH TIME ZONE NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT user_sessions_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT session_token_is_hashed CHECK (token_hash ~ '^sha256:[0-9a-f]{64}$')
);

CREATE INDEX user_sessions_expiry_idx ON user_sessions (tenant_id, expires_at);

CREATE INDEX user_sessions_token_idx ON user_sessions (tenant_id, token_hash);

CREATE INDEX user_sessions_user_idx ON user_sessions (tenant_id, user_id, last_activity);

COMMENT ON TABLE user_sessions IS 'One row per open session of a browser, with all it takes to come back to it';

COMMENT ON COLUMN user_sessions.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_sessions.id IS 'The session';

COMMENT ON COLUMN user_sessions.user_id IS 'Whose it is';

COMMENT ON COLUMN user_sessions.token_hash IS 'SHA-256 of the token that the browser holds';

COMMENT ON COLUMN user_sessions.current_view IS 'The page that is shown';

COMMENT ON COLUMN user_sessions.active_molecule_id IS 'The molecule that is edited';

COMMENT ON COLUMN user_sessions.active_calculation_id IS 'The calculation that is looked at';

COMMENT ON COLUMN user_sessions.editor_content IS 'What the editor holds, saved or not';

COMMENT ON COLUMN user_sessions.sidebar_state IS 'What is folded, what is open';

COMMENT ON COLUMN user_sessions.theme_preference IS 'light, dark or auto';

COMMENT ON COLUMN user_sessions.ui_preferences IS 'Whatever else the pages remember';

COMMENT ON COLUMN user_sessions.last_activity IS 'When something last happened in it';

COMMENT ON COLUMN user_sessions.expires_at IS 'Until when the token is good';

COMMENT ON COLUMN user_sessions.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_sessions.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_sessions.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_sessions ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_sessions FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_sessions TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_sessions TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_sessions TO qforge_projector, qforge_admin;

CREATE TABLE user_api_keys (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	name TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	key_hash TEXT NOT NULL, 
	scopes JSONB NOT NULL, 
	rate_limit BIGINT, 
	usage_quota BIGINT, 
	last_used_at TIMESTAMP WITH TIME ZONE, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT user_api_keys_pkey PRIMARY KEY (tenant_id, id), 
	CONSTRAINT api_key_is_hashed CHECK (key_hash ~ '^sha256:[0-9a-f]{64}$')
);

CREATE INDEX user_api_keys_prefix_idx ON user_api_keys (tenant_id, prefix);

CREATE INDEX user_api_keys_user_idx ON user_api_keys (tenant_id, user_id);

COMMENT ON TABLE user_api_keys IS 'One row per key of the API, revoked ones too';

COMMENT ON COLUMN user_api_keys.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN user_api_keys.id IS 'The key';

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

COMMENT ON COLUMN user_api_keys.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN user_api_keys.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN user_api_keys.last_position IS 'Position of the last event folded into the row';

ALTER TABLE user_api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON user_api_keys FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON user_api_keys TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON user_api_keys TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON user_api_keys TO qforge_projector, qforge_admin;

CREATE TABLE organizations (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	name TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT organizations_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX organizations_name_idx ON organizations (tenant_id, name);

COMMENT ON TABLE organizations IS 'One row per organisation';

COMMENT ON COLUMN organizations.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN organizations.id IS 'The organisation';

COMMENT ON COLUMN organizations.name IS 'What it is called';

COMMENT ON COLUMN organizations.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN organizations.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN organizations.last_position IS 'Position of the last event folded into the row';

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON organizations FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON organizations TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON organizations TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON organizations TO qforge_projector, qforge_admin;

CREATE TABLE organization_members (
	tenant_id UUID NOT NULL, 
	organization_id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	role TEXT NOT NULL, 
	joined_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	left_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT organization_members_pkey PRIMARY KEY (tenant_id, organization_id, user_id), 
	CONSTRAINT member_role_is_known CHECK (role IN ('owner', 'admin', 'member'))
);

CREATE INDEX organization_members_user_idx ON organization_members (tenant_id, user_id);

COMMENT ON TABLE organization_members IS 'One row per person who is or was in an organisation';

COMMENT ON COLUMN organization_members.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN organization_members.organization_id IS 'The organisation';

COMMENT ON COLUMN organization_members.user_id IS 'The member';

COMMENT ON COLUMN organization_members.role IS 'owner, admin or member';

COMMENT ON COLUMN organization_members.joined_at IS 'When the member last joined';

COMMENT ON COLUMN organization_members.left_at IS 'When the member left; null while there';

COMMENT ON COLUMN organization_members.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN organization_members.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN organization_members.last_position IS 'Position of the last event folded into the row';

ALTER TABLE organization_members ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON organization_members FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON organization_members TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON organization_members TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON organization_members TO qforge_projector, qforge_admin;

CREATE TABLE bookmarks (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	user_id UUID NOT NULL, 
	entity_type TEXT NOT NULL, 
	entity_id UUID NOT NULL, 
	label TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT bookmarks_pkey PRIMARY KEY (tenant_id, id)
);

CREATE INDEX bookmarks_user_idx ON bookmarks (tenant_id, user_id, created_at);

COMMENT ON TABLE bookmarks IS 'One row per thing that a person marked to find it again';

COMMENT ON COLUMN bookmarks.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN bookmarks.id IS 'uuid5 of tenant, person and thing';

COMMENT ON COLUMN bookmarks.user_id IS 'Who marked it';

COMMENT ON COLUMN bookmarks.entity_type IS 'What kind of thing it is';

COMMENT ON COLUMN bookmarks.entity_id IS 'Which one';

COMMENT ON COLUMN bookmarks.label IS 'What the person calls it';

COMMENT ON COLUMN bookmarks.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN bookmarks.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN bookmarks.last_position IS 'Position of the last event folded into the row';

ALTER TABLE bookmarks ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON bookmarks FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON bookmarks TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON bookmarks TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON bookmarks TO qforge_projector, qforge_admin;

