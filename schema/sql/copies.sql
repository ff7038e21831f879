-- Where the tables beside the live ones are, under the names of the live ones. Nobody but their
-- owner gets in, so that a half-filled table is seen by no reader.
CREATE SCHEMA qforge_shadow;
COMMENT ON SCHEMA qforge_shadow IS 'Tables that a rebuild is filling; empty while none runs';
CREATE SCHEMA qforge_kept;
COMMENT ON SCHEMA qforge_kept IS 'Tables as they were before the last rebuild that kept them';

ALTER TABLE projection_copies ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_reader ON projection_copies FOR SELECT TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin USING (true);
GRANT SELECT ON projection_copies
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;
