CREATE FUNCTION create_event_partition(first_position bigint, last_position bigint) RETURNS text
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
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
$$;

COMMENT ON FUNCTION create_event_partition(bigint, bigint) IS
    'Make the partition of the log for positions from first to last, both included';

-- Running out of prepared partitions must lose and refuse nothing.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;
CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON event_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE event_logs_default ENABLE ROW LEVEL SECURITY;
