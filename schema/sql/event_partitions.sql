CREATE FUNCTION event_partitions()
RETURNS TABLE (name text, first_position bigint, last_position bigint, rows bigint, bytes bigint)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT c.relname::text,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\)'))[1]::bigint,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint - 1,
           CASE WHEN every_tenant THEN greatest(c.reltuples, 0)::bigint END,
           CASE WHEN every_tenant THEN pg_total_relation_size(c.oid) END
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     CROSS JOIN (SELECT acts_for_every_tenant()
                        OR pg_has_role('qforge_projector', 'USAGE') AS every_tenant) AS caller
     WHERE i.inhparent = 'event_logs'::regclass
     ORDER BY 2 NULLS LAST
$$;

COMMENT ON FUNCTION event_partitions() IS
    'The partitions of the log with their first and last position (null for the default one), their
rows as last estimated, and their bytes with indexes; these are null for a login of one tenant';
