CREATE FUNCTION hold_append_floor() RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    assigned bigint := coalesce(pg_sequence_last_value('public.event_logs_id_seq'::regclass),
                                last_assigned_position());
    holders text;
    ignored text;
BEGIN
    -- What comes next waits for the heads of streams. A session that holds one and is idle would
    -- stop every append to that stream.
    IF current_setting('lock_timeout') = '0' THEN
        ignored := set_config('lock_timeout', '30s', true);  -- an assignment runs no query
    END IF;
    -- Before any position is taken: who has no such lock yet will take positions above what any
    -- reader has read of the sequence by now, and may be passed over.
    PERFORM FROM qforge_private.appending;
    IF pg_try_advisory_xact_lock_shared(append_lock_key(assigned)) THEN
        RETURN assigned;
    END IF;
    -- No append holds a key exclusively. Any lower floor is as true, so appends go on; which one is
    -- not to be foreseen by whoever holds keys.
    FOR attempt IN 1..20 LOOP
        IF pg_try_advisory_xact_lock_shared(append_lock_key(
               greatest(assigned - 1 - floor(random() * 4096)::bigint, 0))) THEN
            RETURN assigned;
        END IF;
    END LOOP;
    SELECT string_agg(DISTINCT format('pid %s, user %s, application %L, connected since %s',
                                      a.pid, a.usename, a.application_name, a.backend_start), '; ')
      INTO holders
      FROM append_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE NOT l.counts AND l.pid <> pg_backend_pid();
    RAISE EXCEPTION 'the keys of the append locks are held by %',
            coalesce(holders, 'a session that has ended meanwhile')
        USING ERRCODE = 'QF012',
              HINT = 'End that session with pg_terminate_backend, and append again.';
END
$$;

COMMENT ON FUNCTION hold_append_floor() IS
    'Take, to the end of the transaction, the shared advisory lock that says: what I append will lie
above this position; and return the last assigned position. Never waits for another session. Sets
lock_timeout to 30 s for the rest of the transaction where there is no limit';

REVOKE EXECUTE ON FUNCTION hold_append_floor() FROM PUBLIC;
