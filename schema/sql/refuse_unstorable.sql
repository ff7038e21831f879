CREATE FUNCTION refuse_unstorable(event_id uuid, event_type text, data jsonb, metadata jsonb,
                                  occurred_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    size bigint;
BEGIN
    IF jsonb_typeof(data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'event %: its data is not an object', event_id USING ERRCODE = 'QF002';
    END IF;
    IF jsonb_typeof(metadata) NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'event %: its metadata is not an object', event_id
            USING ERRCODE = 'QF002';
    END IF;
    size := octet_length(data::text) + coalesce(octet_length(metadata::text), 0);
    IF size > 25165824 THEN
        RAISE EXCEPTION 'event %: its data and metadata have % bytes as text, more than 25165824',
                        event_id, size
            USING ERRCODE = 'QF013', DETAIL = jsonb_build_object(
                'event_type', event_type, 'event_id', event_id, 'size', size, 'limit', 25165824);
    END IF;
    IF is_storable(data, metadata, NULL) THEN
        RAISE EXCEPTION 'event %: its occurred_at is not in the calendar', event_id
            USING ERRCODE = 'QF002';
    END IF;
    RAISE EXCEPTION 'event %: its data or metadata is 100 deep or deeper', event_id
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_unstorable(uuid, text, jsonb, jsonb, timestamptz) IS
    'Say which event is not storable, and why';
