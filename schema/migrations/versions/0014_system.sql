CREATE TABLE spools (
	tenant_id UUID NOT NULL, 
	id UUID NOT NULL, 
	host TEXT NOT NULL, 
	events BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	rejected BIGINT NOT NULL, 
	oldest_at TIMESTAMP WITH TIME ZONE, 
	reported_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_position BIGINT NOT NULL, 
	CONSTRAINT spools_pkey PRIMARY KEY (tenant_id, id)
);

COMMENT ON TABLE spools IS 'One row per machine that has reported what waits there for the database';

COMMENT ON COLUMN spools.tenant_id IS 'Who owns the row: a person''s own space or an organisation';

COMMENT ON COLUMN spools.id IS 'uuid5 of tenant and host';

COMMENT ON COLUMN spools.host IS 'Name of the machine';

COMMENT ON COLUMN spools.events IS 'Events that waited when it last reported';

COMMENT ON COLUMN spools.bytes IS 'Bytes of the files that held them';

COMMENT ON COLUMN spools.rejected IS 'Appends that the database had refused';

COMMENT ON COLUMN spools.oldest_at IS 'When the first of the events happened';

COMMENT ON COLUMN spools.reported_at IS 'When it last reported';

COMMENT ON COLUMN spools.created_at IS 'Time of the row''s earliest event';

COMMENT ON COLUMN spools.updated_at IS 'Time of the row''s latest event';

COMMENT ON COLUMN spools.last_position IS 'Position of the last event folded into the row';

ALTER TABLE spools ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON spools FOR SELECT USING (tenant_id = (SELECT current_tenant()));

CREATE POLICY every_tenant ON spools TO qforge_projector, qforge_admin USING (true) WITH CHECK (true);

GRANT SELECT ON spools TO qforge_reader, qforge_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON spools TO qforge_projector, qforge_admin;

-- Readers may not read the log; how many events there are is no secret to those whose they are.
CREATE FUNCTION count_visible_events(since timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT count(*) FROM event_logs
     WHERE recorded_at >= since
       AND (acts_for_every_tenant() OR tenant_id = (SELECT current_tenant()))
$$;

COMMENT ON FUNCTION count_visible_events(timestamptz) IS
    'How many events were recorded since then, of the tenant that the session acts for';

CREATE FUNCTION count_visible_events_by_type() RETURNS TABLE (event_type text, events bigint)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT l.event_type, count(*) FROM event_logs AS l
     WHERE acts_for_every_tenant() OR l.tenant_id = (SELECT current_tenant())
     GROUP BY l.event_type
$$;

COMMENT ON FUNCTION count_visible_events_by_type() IS
    'How many events of each type there are, of the tenant that the session acts for';

CREATE FUNCTION count_visible_rows(relation regclass) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
    estimate bigint;
    rows bigint;
BEGIN
    -- Who may see every row is not made to wait for all of them to be counted.
    SELECT reltuples INTO estimate FROM pg_class WHERE oid = relation;
    IF acts_for_every_tenant() AND estimate >= 100000 THEN
        RETURN estimate;
    END IF;
    EXECUTE format('SELECT count(*) FROM %s', relation) INTO rows;
    RETURN rows;
END
$$;

COMMENT ON FUNCTION count_visible_rows(regclass) IS
    'How many rows of a table the session may see; as last estimated where it sees all of many';

CREATE VIEW system_health WITH (security_invoker = true) AS
SELECT queue.pending, queue.running, queue.completed, queue.failed,
       count_visible_events(now() - interval '1 minute') AS events_per_minute,
       log.head,
       (SELECT coalesce(jsonb_object_agg(c.projection, greatest(log.head - c.position, 0)), '{}')
          FROM projection_checkpoints AS c) AS lag,
       (SELECT count(*) FROM projection_dead_letters AS d
         WHERE d.copy = 'live' AND d.discarded_at IS NULL) AS dead_letters,
       (SELECT coalesce(sum(s.events), 0)::bigint FROM spools AS s) AS spool_depth,
       (SELECT max(s.reported_at) FROM spools AS s) AS spool_reported_at,
       engine.program AS engine, engine.program_version AS engine_version,
       engine.started_at AS engine_seen_at
  FROM (SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
               count(*) FILTER (WHERE status = 'running') AS running,
               count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status IN ('failed', 'lost')) AS failed
          FROM calculations) AS queue
 CROSS JOIN (SELECT safe_head() AS head) AS log
  LEFT JOIN (SELECT program, program_version, started_at FROM calculations
              WHERE started_at IS NOT NULL AND program IS NOT NULL
              ORDER BY started_at DESC LIMIT 1) AS engine ON true;

COMMENT ON VIEW system_health IS
    'One row: whether everything goes on, for the tenant that the session acts for. lag: positions
behind the head by projection. failed: failed or lost. spool_depth: events that wait on machines, as
last reported. Needs READ COMMITTED, as the safe head does';

GRANT SELECT ON system_health TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

CREATE VIEW database_stats WITH (security_invoker = true) AS
SELECT 'table' AS kind, c.relname::text AS name, count_visible_rows(c.oid::regclass) AS rows,
       -- How much all tenants have together is for those who administer.
       CASE WHEN acts_for_every_tenant() THEN pg_total_relation_size(c.oid) END AS bytes
  FROM pg_class AS c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
   AND has_table_privilege(c.oid, 'SELECT')
UNION ALL
SELECT 'event_type', e.event_type, e.events, NULL
  FROM count_visible_events_by_type() AS e;

COMMENT ON VIEW database_stats IS
    'Rows and bytes per table, and events per type, of the tenant that the session acts for; bytes
for those only who administer';

GRANT SELECT ON database_stats TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

