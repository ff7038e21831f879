CREATE FUNCTION rows_with_words(relation regclass, searched text, query tsquery) RETURNS SETOF tid
-- With its owner's rights: under row-level security PostgreSQL looks at the tenant of every row
-- before it asks for words, so that no index of words is used.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller name := coalesce(nullif(current_setting('role'), 'none'), session_user::text);
    words text := format('to_tsvector(''simple''::regconfig, "left"(%I, 50000))', searched);
    owner oid;
    every boolean;
BEGIN
    SELECT c.relowner INTO owner
      FROM pg_class AS c
      JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid
      JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relname = c.relname || '_words_idx'
     CROSS JOIN generate_series(1, i.indnkeyatts) AS n
     WHERE c.oid = relation AND c.relnamespace = 'public'::regnamespace
       AND pg_get_indexdef(i.indexrelid, n, false) = words;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column % of % is not searched by words', searched, relation
              USING ERRCODE = 'undefined_object';
    END IF;
    IF NOT has_column_privilege(caller, relation, searched, 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for column % of %', searched, relation
              USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Whom no policy restricts is not restricted here either.
    SELECT public.acts_for_every_tenant() OR r.rolsuper OR r.rolbypassrls
           OR pg_has_role(caller, owner, 'USAGE')
           OR pg_has_role(caller, 'qforge_projector'::name, 'USAGE')
      INTO every
      FROM pg_roles AS r WHERE r.rolname = caller;
    IF every THEN
        RETURN QUERY EXECUTE format('SELECT ctid FROM %s WHERE %s @@ $1', relation, words) USING query;
    ELSE
        RETURN QUERY EXECUTE format('SELECT ctid FROM %s WHERE %s @@ $1 AND tenant_id = $2', relation, words)
               USING query, public.current_tenant();
    END IF;
END
$$;

COMMENT ON FUNCTION rows_with_words(regclass, text, tsquery) IS
    'Where the rows are whose column, one that an index of words has, matches the query: of the
caller''s tenant, by the index';
