CREATE FUNCTION last_assigned_position() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN coalesce(pg_sequence_last_value('event_logs_id_seq'::regclass), 0);

COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not';
