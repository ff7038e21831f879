CREATE FUNCTION append_lock_key(floor bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (x'5146'::bigint << 48) + floor;

COMMENT ON FUNCTION append_lock_key(bigint) IS
    'Key of the shared advisory lock that says: what I append will lie above this position.
The upper 16 bits are QF in ASCII, the lower 48 the position';
