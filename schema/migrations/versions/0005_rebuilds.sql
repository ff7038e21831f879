CREATE TABLE projection_copies (
	projection TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	consumed BIGINT NOT NULL, 
	ids_hash BIGINT NOT NULL, 
	began_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT projection_copies_pkey PRIMARY KEY (projection, kind), 
	CONSTRAINT kind_is_known CHECK (kind IN ('shadow', 'kept')), 
	CONSTRAINT stage_is_known CHECK (stage IN ('filling', 'indexing', 'comparing', 'swapping', 'done')), 
	CONSTRAINT copy_position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE projection_copies IS 'Tables beside the live ones: how far a shadow, or a kept table, has come';

COMMENT ON COLUMN projection_copies.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_copies.kind IS 'shadow: being filled; kept: the table before the last swap';

COMMENT ON COLUMN projection_copies.stage IS 'What a rebuild does now: filling, indexing, comparing, swapping';

COMMENT ON COLUMN projection_copies.fingerprint IS 'Of the definition that fills the copy';

COMMENT ON COLUMN projection_copies.position IS 'Every event up to here is folded in';

COMMENT ON COLUMN projection_copies.consumed IS 'How many events of its types that were';

COMMENT ON COLUMN projection_copies.ids_hash IS 'XOR of the hashes of their positions';

COMMENT ON COLUMN projection_copies.began_at IS 'When the copy was made, by the database''s clock';

COMMENT ON COLUMN projection_copies.updated_at IS 'When the copy last moved, by the database''s clock';

-- Where the tables beside the live ones are, under the names of the live ones. Nobody but their
-- owner gets in, so that a half-filled table is seen by no reader.
CREATE SCHEMA qforge_shadow;
COMMENT ON SCHEMA qforge_shadow IS 'Tables that a rebuild is filling; empty while none runs';
CREATE SCHEMA qforge_kept;
COMMENT ON SCHEMA qforge_kept IS 'Tables as they were before the last rebuild that kept them';

GRANT SELECT ON projection_copies
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

