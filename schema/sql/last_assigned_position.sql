CREATE FUNCTION last_assigned_position() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
    -- Before the first nextval, last_value is the value to come.
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM event_logs_id_seq
$$;

COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not';
