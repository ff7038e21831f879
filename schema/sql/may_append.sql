CREATE FUNCTION may_append(entity_type text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    -- What a machine that computes appends, and never accounts, roles or keys.
    entity_type = ANY ('{admet_prediction,batch,calculation,docking_result,job,metric_source,molecule,protein_structure,service,spool}'::text[])
    OR pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_appender'::name, 'USAGE')
    OR pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_admin'::name, 'USAGE')
    -- The owner of the function that asks.
    OR pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   current_user::name, 'USAGE')
);

COMMENT ON FUNCTION may_append(text) IS
    'Whether the caller may append events of such entities: a member of qforge_worker alone, of those
listed only; asked within a security-definer function, where current_user is its owner';
