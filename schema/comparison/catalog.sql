-- Every object of a database that the program may have made, with the SQL that makes and drops it.
-- Partitions are left out: functions make them, and the parent says what they are.
WITH spaces AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relations AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.reloptions, c.relrowsecurity,
           c.relforcerowsecurity, c.oid::regclass::text AS name,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind
      FROM pg_class AS c JOIN spaces ON c.relnamespace = spaces.oid
     WHERE c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
       AND c.relname <> 'qforge_version'
), functions AS (
    SELECT p.oid, p.prokind, p.proowner, p.proacl, p.oid::regprocedure::text AS name,
           CASE p.prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
           CASE p.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS noun
      FROM pg_proc AS p JOIN spaces ON p.pronamespace = spaces.oid
), columns AS (
    SELECT a.attrelid, a.attnum, a.attacl, r.name AS "table", quote_ident(a.attname) AS name
      FROM pg_attribute AS a JOIN relations AS r ON r.oid = a.attrelid
     WHERE r.kind = 'table' AND a.attnum > 0 AND NOT a.attisdropped
), constraints AS (
    SELECT k.oid, r.name AS "table", quote_ident(k.conname) AS name
      FROM pg_constraint AS k JOIN relations AS r ON r.oid = k.conrelid
     WHERE k.contype IN ('c', 'p', 'u', 'f', 'x') AND k.conparentid = 0
), indexes AS (
    SELECT i.indexrelid AS oid, r.name AS "table", i.indexrelid::regclass::text AS name
      FROM pg_index AS i JOIN relations AS r ON r.oid = i.indrelid
     WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid
                                                        AND k.contype IN ('p', 'u', 'x'))
), triggers AS (
    SELECT t.oid, t.tgname, t.tgenabled, r.name AS "table", quote_ident(t.tgname) AS name
      FROM pg_trigger AS t JOIN relations AS r ON r.oid = t.tgrelid
     WHERE NOT t.tgisinternal AND t.tgparentid = 0
), policies AS (
    SELECT p.*, r.name AS "table", quote_ident(p.polname) AS name
      FROM pg_policy AS p JOIN relations AS r ON r.oid = p.polrelid
), rights AS (
    SELECT r.kind, r.name, format('%s%s', CASE r.kind WHEN 'sequence' THEN 'SEQUENCE ' END, r.name)
               AS target, a.grantee, a.is_grantable,
           string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS what
      FROM relations AS r, aclexplode(r.relacl) AS a
     WHERE a.grantee <> r.relowner GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT 'table', c."table", c."table", a.grantee, a.is_grantable,
           format('%s (%s)', a.privilege_type, string_agg(c.name, ', ' ORDER BY c.attnum))
      FROM columns AS c, aclexplode(c.attacl) AS a GROUP BY c."table", 4, 5, a.privilege_type
    UNION ALL
    SELECT f.kind, f.name, format('%s %s', CASE f.noun WHEN 'PROCEDURE' THEN f.noun ELSE 'FUNCTION' END,
                                  f.name), a.grantee, a.is_grantable, a.privilege_type
      FROM functions AS f, aclexplode(f.proacl) AS a WHERE a.grantee NOT IN (0, f.proowner)
    UNION ALL
    SELECT 'schema', quote_ident(s.nspname), format('SCHEMA %I', s.nspname), a.grantee,
           a.is_grantable, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)
      FROM spaces AS s, aclexplode(s.nspacl) AS a
     WHERE a.grantee <> s.nspowner AND s.nspname <> 'public' GROUP BY 1, 2, 3, 4, 5
), comments AS (
    SELECT r.kind, r.name, NULL AS "column", format('%s %s', upper(r.kind), r.name) AS target,
           obj_description(r.oid, 'pg_class') AS comment FROM relations AS r
    UNION ALL
    SELECT 'column', format('%s.%s', c."table", c.name), c.name,
           format('COLUMN %s.%s', c."table", c.name),
           col_description(c.attrelid, c.attnum) FROM columns AS c
    UNION ALL
    SELECT f.kind, f.name, NULL, format('%s %s', f.noun, f.name), obj_description(f.oid, 'pg_proc')
      FROM functions AS f
    UNION ALL
    SELECT 'schema', quote_ident(s.nspname), NULL, format('SCHEMA %I', s.nspname),
           obj_description(s.oid, 'pg_namespace') FROM spaces AS s WHERE s.nspname <> 'public'
    UNION ALL
    SELECT 'index', i.name, NULL, format('INDEX %s', i.name), obj_description(i.oid, 'pg_class')
      FROM indexes AS i
    UNION ALL
    SELECT 'constraint', format('%s.%s', k."table", k.name), NULL,
           format('CONSTRAINT %s ON %s', k.name, k."table"), obj_description(k.oid, 'pg_constraint')
      FROM constraints AS k
    UNION ALL
    SELECT 'trigger', format('%s.%s', t."table", t.name), NULL,
           format('TRIGGER %s ON %s', t.name, t."table"), obj_description(t.oid, 'pg_trigger')
      FROM triggers AS t
    UNION ALL
    SELECT 'policy', format('%s.%s', p."table", p.name), NULL,
           format('POLICY %s ON %s', p.name, p."table"), obj_description(p.oid, 'pg_policy')
      FROM policies AS p
), objects (kind, name, owner, made, dropped, signature, place) AS (
    SELECT 'schema', quote_ident(nspname), NULL, format('CREATE SCHEMA %I', nspname),
           format('DROP SCHEMA %I', nspname), '', oid::bigint
      FROM spaces WHERE nspname <> 'public'
    UNION ALL
    SELECT 'sequence', r.name, NULL,
           format('CREATE SEQUENCE %s AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
                  r.name, format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax,
                  s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END),
           format('DROP SEQUENCE %s', r.name), '', r.oid::bigint
      FROM relations AS r JOIN pg_sequence AS s ON s.seqrelid = r.oid
    UNION ALL
    SELECT 'table', r.name, NULL,
           format('CREATE TABLE %s%s', r.name, ' PARTITION BY ' || pg_get_partkeydef(r.oid)),
           format('DROP TABLE %s', r.name), '', r.oid::bigint
      FROM relations AS r WHERE r.kind = 'table'
    UNION ALL
    SELECT 'options', r.name, 'table ' || r.name,
           format('ALTER TABLE %s SET (%s)', r.name, array_to_string(r.reloptions, ', ')),
           format('ALTER TABLE %s RESET (%s)', r.name,
                  (SELECT string_agg(split_part(option, '=', 1), ', ') FROM unnest(r.reloptions) AS option)),
           '', r.oid::bigint
      FROM relations AS r WHERE r.kind = 'table' AND r.reloptions IS NOT NULL
    UNION ALL
    -- Is ended before the table goes, which would take the sequence along.
    SELECT 'ownership', r.name, NULL,
           format('ALTER SEQUENCE %s OWNED BY %s.%s', r.name, c."table", c.name),
           format('ALTER SEQUENCE %s OWNED BY NONE', r.name), '', r.oid::bigint
      FROM relations AS r
      JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'a'
      JOIN columns AS c ON c.attrelid = d.refobjid AND c.attnum = d.refobjsubid
     WHERE r.kind = 'sequence'
    UNION ALL
    -- The schema public goes without saying; it can only stand at the beginning of the text.
    SELECT f.kind, f.name, NULL,
           regexp_replace(rtrim(pg_get_functiondef(f.oid), E'\n'),
                          '^(CREATE OR REPLACE [A-Z]+) public\.', '\1 '),
           format('DROP %s %s', f.noun, f.name),
           concat_ws(' ', pg_get_function_arguments(f.oid), pg_get_function_result(f.oid)),
           f.oid::bigint
      FROM functions AS f WHERE f.kind = 'function'
    UNION ALL
    SELECT 'aggregate', f.name, NULL,
           format('CREATE AGGREGATE %s (SFUNC = %s, STYPE = %s%s%s%s, PARALLEL = %s)', f.name,
                  a.aggtransfn, format_type(a.aggtranstype, NULL),
                  ', FINALFUNC = ' || nullif(a.aggfinalfn::text, '-'),
                  ', COMBINEFUNC = ' || nullif(a.aggcombinefn::text, '-'),
                  ', INITCOND = ' || quote_literal(a.agginitval),
                  CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END),
           format('DROP AGGREGATE %s', f.name), '', f.oid::bigint
      FROM functions AS f JOIN pg_aggregate AS a ON a.aggfnoid = f.oid JOIN pg_proc AS p ON p.oid = f.oid
    UNION ALL
    SELECT 'constraint', format('%s.%s', k."table", k.name), 'table ' || k."table",
           format('ALTER TABLE %s ADD CONSTRAINT %s %s', k."table", k.name,
                  pg_get_constraintdef(k.oid, true)),
           format('ALTER TABLE %s DROP CONSTRAINT %s', k."table", k.name), '', k.oid::bigint
      FROM constraints AS k
    UNION ALL
    -- An index of a partitioned table is made on its partitions, too.
    SELECT 'index', i.name, 'table ' || i."table",
           regexp_replace(pg_get_indexdef(i.oid, 0, true), ' ON ONLY ', ' ON '),
           format('DROP INDEX %s', i.name), '', i.oid::bigint
      FROM indexes AS i
    UNION ALL
    SELECT 'view', r.name, NULL,
           format(E'CREATE VIEW %s%s AS\n%s', r.name,
                  ' WITH (' || array_to_string(r.reloptions, ', ') || ')',
                  rtrim(pg_get_viewdef(r.oid, true), ';')),
           format('DROP VIEW %s', r.name), '',
           r.oid::bigint
      FROM relations AS r WHERE r.kind = 'view'
    UNION ALL
    SELECT 'trigger', format('%s.%s', t."table", t.name), 'table ' || t."table",
           pg_get_triggerdef(t.oid, true) || CASE t.tgenabled WHEN 'O' THEN '' ELSE
               format(E';\nALTER TABLE %s %s TRIGGER %s', t."table",
                      CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                                       ELSE 'ENABLE REPLICA' END, t.name) END,
           format('DROP TRIGGER %s ON %s', t.name, t."table"), '', t.oid::bigint
      FROM triggers AS t
    UNION ALL
    SELECT 'row security', r.name, 'table ' || r.name,
           format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY%s', r.name,
                  CASE WHEN r.relforcerowsecurity THEN ', FORCE ROW LEVEL SECURITY' END),
           format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', r.name),
           '', r.oid::bigint
      FROM relations AS r WHERE r.relrowsecurity
    UNION ALL
    SELECT 'policy', format('%s.%s', p."table", p.name), 'table ' || p."table",
           format('CREATE POLICY %s ON %s%s%s%s%s%s', p.name, p."table",
                  CASE WHEN NOT p.polpermissive THEN ' AS RESTRICTIVE' END,
                  CASE p.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT'
                                WHEN 'w' THEN ' FOR UPDATE' WHEN 'd' THEN ' FOR DELETE' END,
                  ' TO ' || (SELECT string_agg(quote_ident(rolname), ', ' ORDER BY rolname)
                               FROM pg_roles WHERE pg_roles.oid = ANY (p.polroles)),
                  E'\n    USING (' || pg_get_expr(p.polqual, p.polrelid, true) || ')',
                  E'\n    WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid, true) || ')'),
           format('DROP POLICY %s ON %s', p.name, p."table"), '', p.oid::bigint
      FROM policies AS p
    UNION ALL
    -- Everybody may call a new function, unless that is revoked.
    SELECT 'revoked', f.name, f.kind || ' ' || f.name,
           format('REVOKE EXECUTE ON %s %s FROM PUBLIC',
                  CASE f.noun WHEN 'PROCEDURE' THEN f.noun ELSE 'FUNCTION' END, f.name),
           format('GRANT EXECUTE ON %s %s TO PUBLIC',
                  CASE f.noun WHEN 'PROCEDURE' THEN f.noun ELSE 'FUNCTION' END, f.name),
           '', f.oid::bigint
      FROM functions AS f
     WHERE NOT EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
                        WHERE a.grantee = 0)
    UNION ALL
    SELECT 'grant', concat_ws(' ', g.target, coalesce(o.rolname, 'PUBLIC')), g.kind || ' ' || g.name,
           string_agg(format('GRANT %s ON %s TO %s%s', g.what, g.target,
                             coalesce(quote_ident(o.rolname), 'PUBLIC'),
                             CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END),
                      E';\n' ORDER BY g.what),
           format('REVOKE ALL ON %s FROM %s', g.target, coalesce(quote_ident(o.rolname), 'PUBLIC')),
           coalesce(o.rolname, ''), min(0)
      FROM rights AS g LEFT JOIN pg_roles AS o ON o.oid = g.grantee
     GROUP BY g.kind, g.name, g.target, o.rolname
    UNION ALL
    SELECT 'comment', c.target, c.kind || ' ' || c.name,
           format('COMMENT ON %s IS%s%L', c.target,
                  CASE WHEN length(c.target) + length(c.comment) > 80 THEN E'\n    ' ELSE ' ' END, c.comment),
           format('COMMENT ON %s IS NULL', c.target), '', 0
      FROM comments AS c WHERE c.comment IS NOT NULL
)
SELECT kind, name, owner, made, dropped, signature FROM objects ORDER BY place
