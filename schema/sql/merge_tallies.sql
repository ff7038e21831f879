CREATE FUNCTION merge_tallies(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(jsonb_object_agg(value, count), '{}')
      FROM (SELECT key AS value, sum(n::bigint) AS count
              FROM (SELECT * FROM jsonb_each_text(coalesce(a, '{}'))
                    UNION ALL
                    SELECT * FROM jsonb_each_text(coalesce(b, '{}'))) AS both_tallies(key, n)
             GROUP BY key) AS merged
);

COMMENT ON FUNCTION merge_tallies(jsonb, jsonb) IS 'Add two tallies (value → count); null is empty';
