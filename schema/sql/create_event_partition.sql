CREATE FUNCTION create_event_partition(first_position bigint, last_position bigint) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    name text := format('event_logs_p%s', lpad(first_position::text, 15, '0'));
BEGIN
    EXECUTE format('CREATE TABLE %I PARTITION OF event_logs FOR VALUES FROM (%s) TO (%s)',
                   name, first_position, last_position + 1);
    -- Row triggers are inherited; a TRUNCATE trigger is not.
    EXECUTE format('CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    RETURN name;
END
$$;

COMMENT ON FUNCTION create_event_partition(bigint, bigint) IS
    'Make the partition of the log for positions from first to last, both included';

SELECT create_event_partition(1, 10000000);
SELECT create_event_partition(10000001, 20000000);

-- Running out of prepared partitions must lose and refuse nothing.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;
CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON event_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
