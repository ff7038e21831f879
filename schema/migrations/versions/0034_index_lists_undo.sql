DROP VIEW system_health;

DROP INDEX molecules_user_idx;

DROP INDEX molecules_formula_idx;

DROP INDEX calculations_user_idx;

DROP INDEX batch_jobs_user_idx;

DROP INDEX batch_jobs_project_idx;

DROP INDEX batch_jobs_created_idx;

ALTER TABLE batch_jobs DROP COLUMN project_id;

ALTER TABLE calculations DROP COLUMN conformer_seed;

CREATE VIEW system_health WITH (security_invoker=true) AS
 SELECT queue.pending,
    queue.running,
    queue.completed,
    queue.failed,
    count_visible_events(now() - '00:01:00'::interval) AS events_per_minute,
    log.head,
    ( SELECT COALESCE(jsonb_object_agg(c.projection, GREATEST(log.head - c."position", 0::bigint)), '{}'::jsonb) AS "coalesce"
           FROM projection_checkpoints c) AS lag,
    ( SELECT count(*) AS count
           FROM projection_dead_letters d
          WHERE d.copy = 'live'::text AND d.discarded_at IS NULL) AS dead_letters,
    ( SELECT COALESCE(sum(s.events), 0::numeric)::bigint AS "coalesce"
           FROM spools s) AS spool_depth,
    ( SELECT max(s.reported_at) AS max
           FROM spools s) AS spool_reported_at,
    engine.program AS engine,
    engine.program_version AS engine_version,
    engine.started_at AS engine_seen_at
   FROM ( SELECT count(*) FILTER (WHERE calculations.status = 'pending'::text) AS pending,
            count(*) FILTER (WHERE calculations.status = 'running'::text) AS running,
            count(*) FILTER (WHERE calculations.status = 'completed'::text) AS completed,
            count(*) FILTER (WHERE calculations.status = ANY (ARRAY['failed'::text, 'lost'::text])) AS failed
           FROM calculations) queue
     CROSS JOIN ( SELECT safe_head() AS head) log
     LEFT JOIN ( SELECT calculations.program,
            calculations.program_version,
            calculations.started_at
           FROM calculations
          WHERE calculations.started_at IS NOT NULL AND calculations.program IS NOT NULL
          ORDER BY calculations.started_at DESC
         LIMIT 1) engine ON true;

GRANT SELECT ON system_health TO qforge_admin;
GRANT SELECT ON system_health TO qforge_auditor;
GRANT SELECT ON system_health TO qforge_projector;
GRANT SELECT ON system_health TO qforge_reader;

COMMENT ON VIEW system_health IS
    'One row: whether everything goes on, for the tenant that the session acts for. lag: positions
behind the head by projection. failed: failed or lost. spool_depth: events that wait on machines, as
last reported. Needs READ COMMITTED, as the safe head does';
