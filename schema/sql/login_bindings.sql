-- Only current_tenant() and administrators read who is bound to which tenant.
ALTER TABLE login_bindings ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON login_bindings TO qforge_admin USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON login_bindings TO qforge_admin;
