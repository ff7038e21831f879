CREATE FUNCTION safe_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    assigned bigint;
    lowest_floor bigint;
    published bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the safe head has no meaning under isolation level %',
                current_setting('transaction_isolation')
            USING ERRCODE = 'QF005',
                  HINT = 'Read the log under READ COMMITTED: what is committed must be visible.';
    END IF;
    IF pg_is_in_recovery() THEN
        -- A standby has none of the primary's locks, and its sequence is up to 32 positions ahead.
        SELECT h.position INTO published FROM published_head AS h;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'this server is a standby, and its primary has published no safe head'
                USING ERRCODE = 'QF010',
                      HINT = 'Run `qforge project` on the primary, or connect to the primary.';
        END IF;
        RETURN published;
    END IF;
    -- The order matters: the sequence first, the locks second.
    assigned := last_assigned_position();
    SELECT min(l.floor) INTO lowest_floor FROM append_locks AS l WHERE l.counts;
    RETURN least(assigned, lowest_floor);
END
$$;

COMMENT ON FUNCTION safe_head() IS
    'Every event at or below this position is committed or will never exist; read the log up to it
in a later statement, under READ COMMITTED. On a standby it is the head that the primary published';
