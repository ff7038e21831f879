CREATE FUNCTION short_facts(data jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(
               jsonb_object_agg(
                   key,
                   CASE jsonb_typeof(value)
                       WHEN 'string' THEN to_jsonb(left(value #>> '{}', 200))
                       ELSE value
                   END
               ),
               '{}'
           )
      FROM jsonb_each(data)
     WHERE jsonb_typeof(value) IN ('string', 'number', 'boolean')
);

COMMENT ON FUNCTION short_facts(jsonb) IS
    'The fields of a JSON object that are texts, numbers and booleans; of a text its first 200 characters';
