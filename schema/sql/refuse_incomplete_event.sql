CREATE FUNCTION refuse_incomplete_event() RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event lacks its event_id, tenant_id, entity_type or entity_id'
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_incomplete_event() IS 'An event does not say which stream it belongs to';
