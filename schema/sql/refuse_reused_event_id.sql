CREATE FUNCTION refuse_reused_event_id(event_id uuid) RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'event id % is already taken by an event with other content', event_id
        USING ERRCODE = 'QF004',
              HINT = 'Give every event an id of its own; repeat an id only to retry the same event.';
END
$$;

COMMENT ON FUNCTION refuse_reused_event_id(uuid) IS
    'A repeated event_id is a retry only if the event is the same: otherwise one would be lost';
