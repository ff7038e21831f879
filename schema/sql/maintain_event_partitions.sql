CREATE FUNCTION maintain_event_partitions(size bigint DEFAULT 10000000, ahead integer DEFAULT 2)
RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    head bigint := last_assigned_position();
    prepared bigint;
BEGIN
    -- One at a time; whoever comes second finds it done.
    PERFORM pg_advisory_xact_lock(hashtext('maintain_event_partitions'));
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
$$;

COMMENT ON FUNCTION maintain_event_partitions(bigint, integer) IS
    'Make partitions of the log ahead of need, and return their names: none when enough are there';

SELECT maintain_event_partitions();
