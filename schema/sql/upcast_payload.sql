CREATE FUNCTION upcast_payload(data jsonb, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    step jsonb;
    kind text;
    given jsonb;
    field text;
BEGIN
    FOR step IN SELECT * FROM jsonb_array_elements(steps) LOOP
        SELECT key, value INTO kind, given FROM jsonb_each(step);
        field := given ->> 0;
        CASE kind
            WHEN 'rename' THEN
                IF data ? field THEN
                    data := (data - field) || jsonb_build_object(given ->> 1, data -> field);
                END IF;
            WHEN 'default' THEN
                data := jsonb_build_object(field, given -> 1) || data;
            WHEN 'convert' THEN
                IF jsonb_typeof(data -> field) = 'number' THEN
                    data := data || jsonb_build_object(
                        field, (data ->> field)::numeric * (given ->> 1)::numeric
                               + (given ->> 2)::numeric);
                END IF;
            WHEN 'drop' THEN
                data := data - field;
        END CASE;
    END LOOP;
    RETURN data;
END
$$;

COMMENT ON FUNCTION upcast_payload(jsonb, jsonb) IS
    'A payload of an older schema version as one of today''s, by the steps that its event type declares';
