CREATE FUNCTION refuse_tenant(tenant_id uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event of tenant % is refused: this session acts for %',
            tenant_id, coalesce(current_tenant()::text, 'no tenant')
        USING ERRCODE = 'QF007',
              HINT = 'Set qforge.tenant_id, or append as a member of qforge_admin.';
END
$$;

COMMENT ON FUNCTION refuse_tenant(uuid) IS 'An event belongs to another tenant than the session';
