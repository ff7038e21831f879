CREATE FUNCTION maintain_event_partitions(size bigint DEFAULT 10000000, ahead integer DEFAULT 2)
RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
-- Whoever appends or reads waits behind this one for a lock, and so no longer than this.
SET lock_timeout = '50ms'
AS $$
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
$$;

COMMENT ON FUNCTION maintain_event_partitions(bigint, integer) IS
    'Make partitions of the log ahead of need, and return their names: none when enough are there.
Gives up with SQLSTATE 55P03 when the log is in use, and with QF011 when the default partition is
large, unless qforge.scan_default_partition is on. Commit at once';

SELECT maintain_event_partitions();
