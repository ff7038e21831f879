-- Readers may not read the log; how many events there are is no secret to those whose they are.
CREATE FUNCTION count_visible_events(since timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT count(*) FROM event_logs
     WHERE recorded_at >= since
       AND (acts_for_every_tenant() OR tenant_id = (SELECT current_tenant()))
$$;

COMMENT ON FUNCTION count_visible_events(timestamptz) IS
    'How many events were recorded since then, of the tenant that the session acts for';
