CREATE FUNCTION refuse_unstorable(data jsonb, metadata jsonb, occurred_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%', CASE
        WHEN jsonb_typeof(data) IS DISTINCT FROM 'object' THEN 'an event''s data is not an object'
        WHEN jsonb_typeof(metadata) NOT IN ('object', 'null')
        THEN 'an event''s metadata is not an object'
        WHEN is_storable(data, metadata, NULL) THEN 'an event''s occurred_at is not in the calendar'
        ELSE 'an event''s data or metadata is 100 deep or deeper' END
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_unstorable(jsonb, jsonb, timestamptz) IS
    'Say why an event is not storable';
