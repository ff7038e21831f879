CREATE FUNCTION acts_for_every_tenant() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_admin'::name, 'USAGE');

COMMENT ON FUNCTION acts_for_every_tenant() IS
    'Whether the caller administers; asked within a security-definer function, where current_user
is its owner';
