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
