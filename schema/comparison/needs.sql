-- Which tables, views and functions need which others. What a table's policies, triggers,
-- constraints, defaults and indexes need, the table needs.
WITH objects (class, oid, key) AS (
    SELECT 'pg_class'::regclass, c.oid,
           CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END
               || c.oid::regclass
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid,
           CASE p.prokind WHEN 'a' THEN 'aggregate ' ELSE 'function ' END || p.oid::regprocedure
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), parts (class, oid, key) AS (
    SELECT class, oid, key FROM objects
    UNION ALL
    SELECT part.class, part.oid, o.key
      FROM (SELECT 'pg_rewrite'::regclass AS class, oid, ev_class AS whole FROM pg_rewrite
            UNION ALL SELECT 'pg_policy'::regclass, oid, polrelid FROM pg_policy
            UNION ALL SELECT 'pg_trigger'::regclass, oid, tgrelid FROM pg_trigger
            UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid FROM pg_constraint
            UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid FROM pg_attrdef
            UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid FROM pg_index) AS part
      JOIN objects AS o ON o.class = 'pg_class'::regclass AND o.oid = part.whole
)
SELECT DISTINCT parts.key, objects.key AS needed
  FROM pg_depend AS d
  JOIN parts ON parts.class = d.classid AND parts.oid = d.objid
  JOIN objects ON objects.class = d.refclassid AND objects.oid = d.refobjid
 WHERE parts.key <> objects.key AND d.deptype = 'n'
 ORDER BY parts.key, needed
