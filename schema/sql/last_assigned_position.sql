CREATE FUNCTION last_assigned_position() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    last bigint := pg_sequence_last_value('public.event_logs_id_seq'::regclass);
BEGIN
    -- PostgreSQL answers with null, too, when the caller may not read the sequence.
    IF last IS NULL AND NOT has_sequence_privilege('public.event_logs_id_seq', 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for sequence event_logs_id_seq' USING ERRCODE = '42501';
    END IF;
    RETURN coalesce(last, 0);
END
$$;

COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not; 0 before the first';
