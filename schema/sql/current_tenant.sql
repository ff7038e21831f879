CREATE FUNCTION current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        -- A login that an administrator bound to a tenant cannot leave it:
        -- ALTER ROLE alice SET qforge.tenant_id = '…'.
        (SELECT substr(setting, length('qforge.tenant_id=') + 1)
           FROM pg_db_role_setting AS s
           JOIN pg_roles AS r ON r.oid = s.setrole
          CROSS JOIN unnest(s.setconfig) AS setting
          WHERE r.rolname = session_user
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND starts_with(setting, 'qforge.tenant_id=')
          ORDER BY s.setdatabase DESC
          LIMIT 1),
        -- A gateway's claims go before what a session says of itself.
        CASE WHEN coalesce(current_setting('request.jwt.claims', true), '') <> ''
             THEN current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id'
             ELSE nullif(current_setting('qforge.tenant_id', true), '')
        END)::uuid
$$;

COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the claims of a gateway
(request.jwt.claims), or else the setting qforge.tenant_id; null sees nothing';
