CREATE FUNCTION is_storable(data jsonb, metadata jsonb, occurred_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_typeof(data) = 'object'
   AND coalesce(jsonb_typeof(metadata), 'null') IN ('object', 'null')
   -- As text, to be read, exported and imported; only what is large is written out to be measured.
   AND (pg_column_size(data) + coalesce(pg_column_size(metadata), 0) < 65536
        OR octet_length(data::text) + coalesce(octet_length(metadata::text), 0) <= 25165824)
   -- PostgreSQL nests JSON thousands deep; parsers elsewhere give up, and then nobody reads on.
   AND NOT data @? '$.**{100}'
   AND NOT coalesce(metadata @? '$.**{100}', false)
   -- Infinity and the year 20000 are times to PostgreSQL and an error to every reader in Python.
   AND coalesce(occurred_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00', true);

COMMENT ON FUNCTION is_storable(jsonb, jsonb, timestamptz) IS
    'Whether every reader can read such an event; metadata and time may be null. What appends asks
it: as CHECKs of the log, these rules would be read from the catalogue anew by every append';
