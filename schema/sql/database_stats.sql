CREATE VIEW database_stats WITH (security_invoker = true) AS
SELECT 'table' AS kind, c.relname::text AS name, count_visible_rows(c.oid::regclass) AS rows,
       -- How much all tenants have together is for those who administer.
       CASE WHEN acts_for_every_tenant() THEN pg_total_relation_size(c.oid) END AS bytes
  FROM pg_class AS c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'own_tenant')
   AND has_table_privilege(c.oid, 'SELECT')
UNION ALL
SELECT 'event_type', e.event_type, e.events, NULL
  FROM count_visible_events_by_type() AS e;

COMMENT ON VIEW database_stats IS
    'Rows and bytes per table, and events per type, of the tenant that the session acts for; bytes
for those only who administer';

GRANT SELECT ON database_stats TO qforge_admin, qforge_auditor, qforge_projector, qforge_reader;
