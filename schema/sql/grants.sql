REVOKE EXECUTE ON FUNCTION append_events(jsonb), append_batch(jsonb),
                           create_event_partition(bigint, bigint),
                           maintain_event_partitions(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events(jsonb) TO qforge_appender, qforge_admin, qforge_worker;
GRANT EXECUTE ON FUNCTION maintain_event_partitions(bigint, integer) TO qforge_projector, qforge_admin;
GRANT SELECT ON SEQUENCE event_logs_id_seq
   TO qforge_projector, qforge_reader, qforge_auditor, qforge_admin;

-- The log: readable to those who project, audit and administer; written by append_events alone.
ALTER TABLE event_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_logs FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_logs FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_logs TO qforge_projector, qforge_auditor, qforge_admin;

ALTER TABLE event_streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_streams FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_streams FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_streams TO qforge_projector, qforge_auditor, qforge_admin;

-- Checkpoints name no tenant: whoever reads a table may know how far it has come. Row-level security
-- is on all the same, so that a grant of somebody else's to a role of theirs opens nothing.
ALTER TABLE projection_checkpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_reader ON projection_checkpoints FOR SELECT TO qforge_reader, qforge_auditor USING (true);
CREATE POLICY every_tenant ON projection_checkpoints TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);
GRANT SELECT ON projection_checkpoints TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints TO qforge_projector, qforge_admin;
