-- Reasons quote payloads, so they are for the tenant whose event it is.
ALTER TABLE projection_dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON projection_dead_letters FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON projection_dead_letters TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);
GRANT SELECT ON projection_dead_letters TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_dead_letters TO qforge_projector, qforge_admin;
