CREATE FUNCTION refuse_version(
    tenant_id uuid, entity_type text, entity_id uuid, expected integer, actual integer
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'stream %/% is at version %, not at the expected %',
            entity_type, entity_id, actual, expected
        USING ERRCODE = 'QF003',
              DETAIL = jsonb_build_object(
                  'tenant_id', tenant_id, 'entity_type', entity_type, 'entity_id', entity_id,
                  'expected', expected, 'actual', actual)::text;
END
$$;

COMMENT ON FUNCTION refuse_version(uuid, text, uuid, integer, integer) IS
    'A stream is not at the version that an append expected';
