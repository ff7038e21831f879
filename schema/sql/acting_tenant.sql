CREATE FUNCTION acting_tenant() RETURNS uuid
-- As plpgsql, because it keeps its plan from one call to the next.
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    bound text;
    claims jsonb;
BEGIN
    -- A login that is bound to a tenant cannot leave it, whatever its session sets. A superuser's
    -- ALTER ROLE … SET qforge.tenant_id goes before the table. Each append asks: two short
    -- statements take half the time of one that joins.
    PERFORM FROM pg_db_role_setting AS s WHERE s.setrole = to_regrole(quote_ident(session_user::text));
    IF FOUND THEN
        SELECT substr(setting, length('qforge.tenant_id=') + 1) INTO bound
          FROM pg_db_role_setting AS s
         CROSS JOIN unnest(s.setconfig) AS setting
         WHERE s.setrole = to_regrole(quote_ident(session_user::text))
           AND s.setdatabase IN (0, (SELECT oid FROM pg_database
                                      WHERE datname = current_database()))
           AND starts_with(setting, 'qforge.tenant_id=')
         ORDER BY s.setdatabase DESC
         LIMIT 1;
        IF FOUND THEN
            RETURN bound;
        END IF;
    END IF;
    SELECT b.tenant_id INTO bound FROM public.login_bindings AS b WHERE b.login = session_user::text;
    IF FOUND THEN
        RETURN bound;
    END IF;
    -- A gateway's claims go before what a session says of itself. Some gateways let a server write
    -- to app_metadata only; users can write to user_metadata, which is not read.
    claims := nullif(current_setting('request.jwt.claims', true), '');
    IF claims IS NOT NULL THEN
        RETURN coalesce(claims ->> 'tenant_id', claims #>> '{app_metadata,tenant_id}');
    END IF;
    RETURN nullif(current_setting('qforge.tenant_id', true), '');
END
$$;

COMMENT ON FUNCTION acting_tenant() IS
    'What current_tenant answers, for functions that run with their owner''s rights and a search path
of their own already: each append asks, and the change of both is half of what current_tenant takes';

REVOKE EXECUTE ON FUNCTION acting_tenant() FROM PUBLIC;
