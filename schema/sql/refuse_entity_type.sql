CREATE FUNCTION refuse_entity_type(entity_type text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event of an entity of type % is refused: qforge_worker may append molecules, calculations and the like only',
            to_json(left(entity_type, 200))
        USING ERRCODE = '42501', HINT = 'Append as a member of qforge_appender.';
END
$$;

COMMENT ON FUNCTION refuse_entity_type(text) IS
    'An event belongs to an entity of a type that the login may not append to';
