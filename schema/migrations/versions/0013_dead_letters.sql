CREATE TABLE projection_dead_letters (
	projection TEXT NOT NULL, 
	copy TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	tenant_id UUID NOT NULL, 
	event_type TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	parked_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	retries INTEGER NOT NULL, 
	retried_at TIMESTAMP WITH TIME ZONE, 
	discarded_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT projection_dead_letters_pkey PRIMARY KEY (projection, copy, position), 
	CONSTRAINT copy_is_known CHECK (copy IN ('live', 'shadow', 'kept')), 
	CONSTRAINT retries_is_not_negative CHECK (retries >= 0)
);

CREATE INDEX projection_dead_letters_tenant_idx ON projection_dead_letters (tenant_id, position);

COMMENT ON TABLE projection_dead_letters IS 'Events that a projection leaves out because its table cannot take them';

COMMENT ON COLUMN projection_dead_letters.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_dead_letters.copy IS 'Whose table leaves the event out: live; shadow: being filled; kept: before the last swap';

COMMENT ON COLUMN projection_dead_letters.position IS 'Position of the event in the log';

COMMENT ON COLUMN projection_dead_letters.tenant_id IS 'Who owns the event';

COMMENT ON COLUMN projection_dead_letters.event_type IS 'What happened';

COMMENT ON COLUMN projection_dead_letters.reason IS 'What the database said when it last refused the event';

COMMENT ON COLUMN projection_dead_letters.parked_at IS 'When it was set aside, by the database''s clock';

COMMENT ON COLUMN projection_dead_letters.retries IS 'How often it was tried again since';

COMMENT ON COLUMN projection_dead_letters.retried_at IS 'When it was last tried again; null for never';

COMMENT ON COLUMN projection_dead_letters.discarded_at IS 'When somebody decided to do without it; null: it waits';

-- Reasons quote payloads, so they are for the tenant whose event it is.
ALTER TABLE projection_dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON projection_dead_letters FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON projection_dead_letters TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);
GRANT SELECT ON projection_dead_letters TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_dead_letters TO qforge_projector, qforge_admin;

