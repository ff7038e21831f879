CREATE FUNCTION refuse_long_name(event_id uuid, entity_type text, event_type text) RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    -- The indexes of the log and of the heads take at most some 2,700 bytes.
    RAISE EXCEPTION 'event %: its %, which begins with %, has % bytes, more than the limit of 200',
        event_id,
        CASE WHEN octet_length(entity_type) > 200 THEN 'entity_type' ELSE 'event_type' END,
        to_json(left(CASE WHEN octet_length(entity_type) > 200 THEN entity_type
                          ELSE event_type END, 30)),
        greatest(octet_length(entity_type), octet_length(event_type))
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_long_name(uuid, text, text) IS
    'Say which event has an entity_type or event_type that is too long for an index';
