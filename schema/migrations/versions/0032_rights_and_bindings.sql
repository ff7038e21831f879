SET LOCAL check_function_bodies = off;

DROP VIEW database_stats;

CREATE TABLE login_bindings (
    login text NOT NULL,
    tenant_id uuid NOT NULL,
    bound_at timestamp with time zone NOT NULL,
    bound_by text NOT NULL,
    CONSTRAINT login_bindings_pkey PRIMARY KEY (login)
);

CREATE OR REPLACE FUNCTION current_tenant()
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    bound text;
    claims jsonb;
BEGIN
    -- A login that is bound to a tenant cannot leave it, whatever its session sets. A superuser's
    -- ALTER ROLE … SET qforge.tenant_id goes before the table. Each append asks: two short
    -- statements take half the time of one that joins.
    PERFORM FROM pg_db_role_setting AS s WHERE s.setrole = to_regrole(quote_ident(session_user));
    IF FOUND THEN
        SELECT substr(setting, length('qforge.tenant_id=') + 1) INTO bound
          FROM pg_db_role_setting AS s
         CROSS JOIN unnest(s.setconfig) AS setting
         WHERE s.setrole = to_regrole(quote_ident(session_user))
           AND s.setdatabase IN (0, (SELECT oid FROM pg_database
                                      WHERE datname = current_database()))
           AND starts_with(setting, 'qforge.tenant_id=')
         ORDER BY s.setdatabase DESC
         LIMIT 1;
        IF FOUND THEN
            RETURN bound;
        END IF;
    END IF;
    SELECT b.tenant_id INTO bound FROM login_bindings AS b WHERE b.login = session_user::text;
    IF FOUND THEN
        RETURN bound;
    END IF;
    -- A gateway's claims go before what a session says of itself. Some gateways let a server write
    -- to app_metadata only; users can write to user_metadata, which is not read.
    claims := nullif(current_setting('request.jwt.claims', true), '');
    IF claims IS NOT NULL THEN
        RETURN coalesce(claims ->> 'tenant_id', claims #>> '{app_metadata,tenant_id}');
    END IF;
    RETURN nullif(current_setting('qforge.tenant_id', true), '');
END
$function$;

CREATE OR REPLACE FUNCTION last_assigned_position()
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
    last bigint := pg_sequence_last_value('public.event_logs_id_seq'::regclass);
BEGIN
    -- PostgreSQL answers with null, too, when the caller may not read the sequence.
    IF last IS NULL AND NOT has_sequence_privilege('public.event_logs_id_seq', 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for sequence event_logs_id_seq' USING ERRCODE = '42501';
    END IF;
    RETURN coalesce(last, 0);
END
$function$;

CREATE OR REPLACE FUNCTION revoke_default_rights(relation regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                             ELSE quote_ident(pg_get_userbyid(a.grantee)) END
          FROM pg_class AS c, aclexplode(c.relacl) AS a
         WHERE c.oid = relation AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', relation, grantee);
    END LOOP;
END
$function$;

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
    PERFORM revoke_default_rights(name::regclass);
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
           CASE WHEN every_tenant THEN greatest(c.reltuples, 0)::bigint END,
           CASE WHEN every_tenant THEN pg_total_relation_size(c.oid) END
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     CROSS JOIN (SELECT acts_for_every_tenant()
                        OR pg_has_role('qforge_projector', 'USAGE') AS every_tenant) AS caller
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
    IF size NOT BETWEEN 1000000 AND 1000000000 OR ahead NOT BETWEEN 1 AND 10
       OR size IS NULL OR ahead IS NULL THEN
        RAISE EXCEPTION 'partitions of % positions, % ahead, are refused', size, ahead
            USING ERRCODE = 'QF002',
                  HINT = 'Give a size from 1000000 to 1000000000, and from 1 to 10 of them.';
    END IF;
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
          WHERE p.polrelid = c.oid AND p.polname = 'own_tenant'::name)) AND has_table_privilege(c.oid, 'SELECT'::text)
UNION ALL
 SELECT 'event_type'::text AS kind,
    e.event_type AS name,
    e.events AS rows,
    NULL::bigint AS bytes
   FROM count_visible_events_by_type() e(event_type, events);

ALTER TABLE login_bindings ENABLE ROW LEVEL SECURITY;

ALTER TABLE projection_checkpoints ENABLE ROW LEVEL SECURITY;

ALTER TABLE projection_copies ENABLE ROW LEVEL SECURITY;

ALTER TABLE published_head ENABLE ROW LEVEL SECURITY;

CREATE POLICY every_reader ON published_head FOR SELECT TO qforge_admin, qforge_auditor, qforge_projector, qforge_reader
    USING (true);

CREATE POLICY every_reader ON projection_checkpoints FOR SELECT TO qforge_auditor, qforge_reader
    USING (true);

CREATE POLICY every_tenant ON projection_checkpoints TO qforge_admin, qforge_projector
    USING (true)
    WITH CHECK (true);

CREATE POLICY every_reader ON projection_copies FOR SELECT TO qforge_admin, qforge_auditor, qforge_projector, qforge_reader
    USING (true);

CREATE POLICY every_tenant ON login_bindings TO qforge_admin
    USING (true)
    WITH CHECK (true);

REVOKE EXECUTE ON FUNCTION revoke_default_rights(regclass) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION merge_payloads(jsonb) TO qforge_admin;
GRANT EXECUTE ON FUNCTION merge_payloads(jsonb) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION merge_payloads(jsonb) TO qforge_projector;
GRANT EXECUTE ON FUNCTION merge_payloads(jsonb) TO qforge_reader;
GRANT EXECUTE ON FUNCTION acts_for_every_tenant() TO qforge_admin;
GRANT EXECUTE ON FUNCTION acts_for_every_tenant() TO qforge_appender;
GRANT EXECUTE ON FUNCTION acts_for_every_tenant() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION acts_for_every_tenant() TO qforge_projector;
GRANT EXECUTE ON FUNCTION acts_for_every_tenant() TO qforge_reader;
GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_admin;
GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_projector;
GRANT EXECUTE ON FUNCTION append_evidence() TO qforge_reader;
GRANT EXECUTE ON FUNCTION append_lock_key(bigint) TO qforge_admin;
GRANT EXECUTE ON FUNCTION append_lock_key(bigint) TO qforge_appender;
GRANT EXECUTE ON FUNCTION append_lock_key(bigint) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION append_lock_key(bigint) TO qforge_projector;
GRANT EXECUTE ON FUNCTION append_lock_key(bigint) TO qforge_reader;
GRANT EXECUTE ON FUNCTION count_visible_events(timestamp with time zone) TO qforge_admin;
GRANT EXECUTE ON FUNCTION count_visible_events(timestamp with time zone) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION count_visible_events(timestamp with time zone) TO qforge_projector;
GRANT EXECUTE ON FUNCTION count_visible_events(timestamp with time zone) TO qforge_reader;
GRANT EXECUTE ON FUNCTION count_visible_events_by_type() TO qforge_admin;
GRANT EXECUTE ON FUNCTION count_visible_events_by_type() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION count_visible_events_by_type() TO qforge_projector;
GRANT EXECUTE ON FUNCTION count_visible_events_by_type() TO qforge_reader;
GRANT EXECUTE ON FUNCTION count_visible_rows(regclass) TO qforge_admin;
GRANT EXECUTE ON FUNCTION count_visible_rows(regclass) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION count_visible_rows(regclass) TO qforge_projector;
GRANT EXECUTE ON FUNCTION count_visible_rows(regclass) TO qforge_reader;
GRANT EXECUTE ON FUNCTION current_tenant() TO qforge_admin;
GRANT EXECUTE ON FUNCTION current_tenant() TO qforge_appender;
GRANT EXECUTE ON FUNCTION current_tenant() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION current_tenant() TO qforge_projector;
GRANT EXECUTE ON FUNCTION current_tenant() TO qforge_reader;
GRANT EXECUTE ON FUNCTION event_partitions() TO qforge_admin;
GRANT EXECUTE ON FUNCTION event_partitions() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION event_partitions() TO qforge_projector;
GRANT EXECUTE ON FUNCTION event_partitions() TO qforge_reader;
GRANT EXECUTE ON FUNCTION last_assigned_position() TO qforge_admin;
GRANT EXECUTE ON FUNCTION last_assigned_position() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION last_assigned_position() TO qforge_projector;
GRANT EXECUTE ON FUNCTION last_assigned_position() TO qforge_reader;
GRANT EXECUTE ON FUNCTION merge_tallies(jsonb,jsonb) TO qforge_admin;
GRANT EXECUTE ON FUNCTION merge_tallies(jsonb,jsonb) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION merge_tallies(jsonb,jsonb) TO qforge_projector;
GRANT EXECUTE ON FUNCTION merge_tallies(jsonb,jsonb) TO qforge_reader;
GRANT EXECUTE ON FUNCTION safe_head() TO qforge_admin;
GRANT EXECUTE ON FUNCTION safe_head() TO qforge_auditor;
GRANT EXECUTE ON FUNCTION safe_head() TO qforge_projector;
GRANT EXECUTE ON FUNCTION safe_head() TO qforge_reader;
GRANT EXECUTE ON FUNCTION short_facts(jsonb) TO qforge_admin;
GRANT EXECUTE ON FUNCTION short_facts(jsonb) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION short_facts(jsonb) TO qforge_projector;
GRANT EXECUTE ON FUNCTION short_facts(jsonb) TO qforge_reader;
GRANT EXECUTE ON FUNCTION upcast_payload(jsonb,jsonb) TO qforge_admin;
GRANT EXECUTE ON FUNCTION upcast_payload(jsonb,jsonb) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION upcast_payload(jsonb,jsonb) TO qforge_projector;
GRANT EXECUTE ON FUNCTION upcast_payload(jsonb,jsonb) TO qforge_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON login_bindings TO qforge_admin;
GRANT SELECT ON database_stats TO qforge_admin;
GRANT SELECT ON database_stats TO qforge_auditor;
GRANT SELECT ON database_stats TO qforge_projector;
GRANT SELECT ON database_stats TO qforge_reader;

COMMENT ON COLUMN login_bindings.login IS 'Name of the login';
COMMENT ON COLUMN login_bindings.tenant_id IS
    'The one tenant whose rows the login sees and appends';
COMMENT ON COLUMN login_bindings.bound_at IS 'Time of the binding, by the database''s clock';
COMMENT ON COLUMN login_bindings.bound_by IS 'Name of the login that bound it';
COMMENT ON FUNCTION revoke_default_rights(regclass) IS
    'Leave a new table to its owner alone, whatever ALTER DEFAULT PRIVILEGES grants to others';
COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the tenant_id in the
claims of a gateway (request.jwt.claims, or app_metadata in it), or else the setting
qforge.tenant_id; null sees nothing';
COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not; 0 before the first';
COMMENT ON FUNCTION event_partitions() IS
    'The partitions of the log with their first and last position (null for the default one), their
rows as last estimated, and their bytes with indexes; these are null for a login of one tenant';
COMMENT ON TABLE login_bindings IS
    'Logins that see and append the events of one tenant, whatever their session sets';
COMMENT ON VIEW database_stats IS
    'Rows and bytes per table, and events per type, of the tenant that the session acts for; bytes
for those only who administer';

ALTER TABLE qforge_version ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_reader ON qforge_version FOR SELECT
    TO qforge_appender, qforge_projector, qforge_reader, qforge_auditor, qforge_admin USING (true);
