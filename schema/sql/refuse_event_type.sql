CREATE FUNCTION refuse_event_type(entity_type text, event_type text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF may_append(entity_type, event_type) THEN
        RAISE EXCEPTION 'an event of type % happens to an entity of type %, not of type %',
                to_json(left(event_type, 200)), to_json(entity_type_of(event_type)),
                to_json(left(entity_type, 200))
            USING ERRCODE = 'QF002';
    END IF;
    RAISE EXCEPTION 'an event of type % of an entity of type % is refused: qforge_worker may append events of molecules, calculations and the like only',
            to_json(left(event_type, 200)), to_json(left(entity_type, 200))
        USING ERRCODE = '42501', HINT = 'Append as a member of qforge_appender.';
END
$$;

COMMENT ON FUNCTION refuse_event_type(text, text) IS
    'An event is of a type that the login may not append to an entity of that type';
