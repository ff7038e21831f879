-- The columns of every table, in the order in which they stand in it.
SELECT a.attrelid::regclass::text AS "table", quote_ident(a.attname) AS name,
       format_type(a.atttypid, a.atttypmod) ||
           CASE WHEN a.attcollation <> t.typcollation THEN
               (SELECT format(' COLLATE %I', collname) FROM pg_collation WHERE oid = a.attcollation)
           ELSE '' END AS type,
       a.attnotnull AS required,
       CASE a.attgenerated WHEN '' THEN pg_get_expr(d.adbin, d.adrelid, true) END AS "default",
       CASE a.attgenerated WHEN '' THEN NULL ELSE pg_get_expr(d.adbin, d.adrelid, true) END AS formula
  FROM pg_attribute AS a
  JOIN pg_class AS c ON c.oid = a.attrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> 'qforge_version' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY a.attrelid, a.attnum
