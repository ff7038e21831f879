DROP POLICY every_reader ON qforge_version;
ALTER TABLE qforge_version DISABLE ROW LEVEL SECURITY;

SET LOCAL check_function_bodies = off;

REVOKE ALL ON FUNCTION upcast_payload(jsonb,jsonb) FROM qforge_reader;

REVOKE ALL ON FUNCTION upcast_payload(jsonb,jsonb) FROM qforge_projector;

REVOKE ALL ON FUNCTION upcast_payload(jsonb,jsonb) FROM qforge_auditor;

REVOKE ALL ON FUNCTION upcast_payload(jsonb,jsonb) FROM qforge_admin;

REVOKE ALL ON FUNCTION short_facts(jsonb) FROM qforge_reader;

REVOKE ALL ON FUNCTION short_facts(jsonb) FROM qforge_projector;

REVOKE ALL ON FUNCTION short_facts(jsonb) FROM qforge_auditor;

REVOKE ALL ON FUNCTION short_facts(jsonb) FROM qforge_admin;

REVOKE ALL ON FUNCTION safe_head() FROM qforge_reader;

REVOKE ALL ON FUNCTION safe_head() FROM qforge_projector;

REVOKE ALL ON FUNCTION safe_head() FROM qforge_auditor;

REVOKE ALL ON FUNCTION safe_head() FROM qforge_admin;

REVOKE ALL ON FUNCTION merge_tallies(jsonb,jsonb) FROM qforge_reader;

REVOKE ALL ON FUNCTION merge_tallies(jsonb,jsonb) FROM qforge_projector;

REVOKE ALL ON FUNCTION merge_tallies(jsonb,jsonb) FROM qforge_auditor;

REVOKE ALL ON FUNCTION merge_tallies(jsonb,jsonb) FROM qforge_admin;

REVOKE ALL ON FUNCTION last_assigned_position() FROM qforge_reader;

REVOKE ALL ON FUNCTION last_assigned_position() FROM qforge_projector;

REVOKE ALL ON FUNCTION last_assigned_position() FROM qforge_auditor;

REVOKE ALL ON FUNCTION last_assigned_position() FROM qforge_admin;

REVOKE ALL ON FUNCTION event_partitions() FROM qforge_reader;

REVOKE ALL ON FUNCTION event_partitions() FROM qforge_projector;

REVOKE ALL ON FUNCTION event_partitions() FROM qforge_auditor;

REVOKE ALL ON FUNCTION event_partitions() FROM qforge_admin;

REVOKE ALL ON FUNCTION current_tenant() FROM qforge_reader;

REVOKE ALL ON FUNCTION current_tenant() FROM qforge_projector;

REVOKE ALL ON FUNCTION current_tenant() FROM qforge_auditor;

REVOKE ALL ON FUNCTION current_tenant() FROM qforge_appender;

REVOKE ALL ON FUNCTION current_tenant() FROM qforge_admin;

REVOKE ALL ON FUNCTION count_visible_rows(regclass) FROM qforge_reader;

REVOKE ALL ON FUNCTION count_visible_rows(regclass) FROM qforge_projector;

REVOKE ALL ON FUNCTION count_visible_rows(regclass) FROM qforge_auditor;

REVOKE ALL ON FUNCTION count_visible_rows(regclass) FROM qforge_admin;

REVOKE ALL ON FUNCTION count_visible_events_by_type() FROM qforge_reader;

REVOKE ALL ON FUNCTION count_visible_events_by_type() FROM qforge_projector;

REVOKE ALL ON FUNCTION count_visible_events_by_type() FROM qforge_auditor;

REVOKE ALL ON FUNCTION count_visible_events_by_type() FROM qforge_admin;

REVOKE ALL ON FUNCTION count_visible_events(timestamp with time zone) FROM qforge_reader;

REVOKE ALL ON FUNCTION count_visible_events(timestamp with time zone) FROM qforge_projector;

REVOKE ALL ON FUNCTION count_visible_events(timestamp with time zone) FROM qforge_auditor;

REVOKE ALL ON FUNCTION count_visible_events(timestamp with time zone) FROM qforge_admin;

REVOKE ALL ON FUNCTION append_lock_key(bigint) FROM qforge_reader;

REVOKE ALL ON FUNCTION append_lock_key(bigint) FROM qforge_projector;

REVOKE ALL ON FUNCTION append_lock_key(bigint) FROM qforge_auditor;

REVOKE ALL ON FUNCTION append_lock_key(bigint) FROM qforge_appender;

REVOKE ALL ON FUNCTION append_lock_key(bigint) FROM qforge_admin;

REVOKE ALL ON FUNCTION append_evidence() FROM qforge_reader;

REVOKE ALL ON FUNCTION append_evidence() FROM qforge_projector;

REVOKE ALL ON FUNCTION append_evidence() FROM qforge_auditor;

REVOKE ALL ON FUNCTION append_evidence() FROM qforge_admin;

REVOKE ALL ON FUNCTION acts_for_every_tenant() FROM qforge_reader;

REVOKE ALL ON FUNCTION acts_for_every_tenant() FROM qforge_projector;

REVOKE ALL ON FUNCTION acts_for_every_tenant() FROM qforge_auditor;

REVOKE ALL ON FUNCTION acts_for_every_tenant() FROM qforge_appender;

REVOKE ALL ON FUNCTION acts_for_every_tenant() FROM qforge_admin;

REVOKE ALL ON FUNCTION merge_payloads(jsonb) FROM qforge_reader;

REVOKE ALL ON FUNCTION merge_payloads(jsonb) FROM qforge_projector;

REVOKE ALL ON FUNCTION merge_payloads(jsonb) FROM qforge_auditor;

REVOKE ALL ON FUNCTION merge_payloads(jsonb) FROM qforge_admin;

DROP POLICY every_reader ON projection_copies;

DROP POLICY every_tenant ON projection_checkpoints;

DROP POLICY every_reader ON projection_checkpoints;

DROP POLICY every_reader ON published_head;

ALTER TABLE published_head DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

ALTER TABLE projection_copies DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

ALTER TABLE projection_checkpoints DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

DROP VIEW database_stats;

DROP FUNCTION revoke_default_rights(regclass);

DROP TABLE login_bindings;

CREATE OR REPLACE FUNCTION current_tenant()
 RETURNS uuid
 LANGUAGE sql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    SELECT coalesce(
        -- A login that an administrator bound to a tenant cannot leave it:
        -- ALTER ROLE alice SET qforge.tenant_id = '…'.
        (SELECT substr(setting, length('qforge.tenant_id=') + 1)
           FROM pg_db_role_setting AS s
           JOIN pg_roles AS r ON r.oid = s.setrole
          CROSS JOIN unnest(s.setconfig) AS setting
          WHERE r.rolname = session_user
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND starts_with(setting, 'qforge.tenant_id=')
          ORDER BY s.setdatabase DESC
          LIMIT 1),
        -- A gateway's claims go before what a session says of itself.
        CASE WHEN coalesce(current_setting('request.jwt.claims', true), '') <> ''
             THEN current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id'
             ELSE nullif(current_setting('qforge.tenant_id', true), '')
        END)::uuid
$function$;

CREATE OR REPLACE FUNCTION last_assigned_position()
 RETURNS bigint
 LANGUAGE sql
RETURN COALESCE(pg_sequence_last_value('event_logs_id_seq'::regclass), (0)::bigint);

CREATE OR REPLACE FUNCTION create_event_partition(first_position bigint, last_position bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    name text := format('event_logs_p%s', lpad(first_position::text, 15, '0'));
BEGIN
    -- Made apart and attached: CREATE … PARTITION OF would wait for every writer.
    EXECUTE format('CREATE TABLE %I (LIKE event_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS
                                                     INCLUDING COMMENTS)', name);
    EXECUTE format('ALTER TABLE event_logs ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, first_position, last_position + 1);
    -- Row triggers and indexes come with the attachment; these do not.
    EXECUTE format('CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    RETURN name;
END
$function$;

CREATE OR REPLACE FUNCTION event_partitions()
 RETURNS TABLE(name text, first_position bigint, last_position bigint, rows bigint, bytes bigint)
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
    SELECT c.relname::text,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\)'))[1]::bigint,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint - 1,
           greatest(c.reltuples, 0)::bigint,
           pg_total_relation_size(c.oid)
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'event_logs'::regclass
     ORDER BY 2 NULLS LAST
$function$;

CREATE OR REPLACE FUNCTION maintain_event_partitions(size bigint DEFAULT 10000000, ahead integer DEFAULT 2)
 RETURNS SETOF text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '50ms'
AS $function$
DECLARE
    head bigint := last_assigned_position();
    prepared bigint;
    in_default bigint := coalesce(pg_relation_size(to_regclass('event_logs_default')), 0);
BEGIN
    SELECT coalesce(max(last_position), 0) INTO prepared FROM event_partitions();
    IF prepared >= head + size * ahead THEN
        RETURN;
    END IF;
    -- One at a time, and nobody waits for the other; ATTACH needs this lock in any case.
    LOCK TABLE ONLY event_logs IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
    -- ATTACH looks at every row of the default partition, and locks it meanwhile.
    IF in_default > 33554432
       AND coalesce(current_setting('qforge.scan_default_partition', true), '') <> 'on' THEN
        RAISE EXCEPTION 'nobody could append while the % bytes of the default partition are read',
            in_default
            USING ERRCODE = 'QF011';
    END IF;
    SELECT coalesce(max(last_position), 0) INTO prepared FROM event_partitions();
    WHILE prepared < head + size * ahead LOOP
        IF prepared < head THEN
            -- Some positions went to the default partition, and stay there: begin above them.
            prepared := (head / size + 1) * size;
        END IF;
        RETURN NEXT create_event_partition(prepared + 1, prepared + size);
        prepared := prepared + size;
    END LOOP;
END
$function$;

CREATE VIEW database_stats WITH (security_invoker=true) AS
 SELECT 'table'::text AS kind,
    c.relname::text AS name,
    count_visible_rows(c.oid::regclass) AS rows,
        CASE
            WHEN acts_for_every_tenant() THEN pg_total_relation_size(c.oid::regclass)
            ELSE NULL::bigint
        END AS bytes
   FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace::oid AND c.relkind = 'r'::"char" AND (EXISTS ( SELECT
           FROM pg_policy p
          WHERE p.polrelid = c.oid)) AND has_table_privilege(c.oid, 'SELECT'::text)
UNION ALL
 SELECT 'event_type'::text AS kind,
    e.event_type AS name,
    e.events AS rows,
    NULL::bigint AS bytes
   FROM count_visible_events_by_type() e(event_type, events);

GRANT SELECT ON database_stats TO qforge_admin;
GRANT SELECT ON database_stats TO qforge_auditor;
GRANT SELECT ON database_stats TO qforge_projector;
GRANT SELECT ON database_stats TO qforge_reader;

COMMENT ON FUNCTION event_partitions() IS
    'The partitions of the log with their first and last position (null for the default one), their
rows as last estimated, and their bytes with indexes';
COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the claims of a gateway
(request.jwt.claims), or else the setting qforge.tenant_id; null sees nothing';
COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not';
COMMENT ON VIEW database_stats IS
    'Rows and bytes per table, and events per type, of the tenant that the session acts for; bytes
for those only who administer';
