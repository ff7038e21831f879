CREATE FUNCTION current_tenant() RETURNS uuid
-- With its owner's rights, because nobody else reads the bindings.
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
-- Not public: a function or operator that somebody makes there could be preferred.
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN public.acting_tenant();
END
$$;

COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the tenant_id in the
claims of a gateway (request.jwt.claims, or app_metadata in it), or else the setting
qforge.tenant_id; null sees nothing';
