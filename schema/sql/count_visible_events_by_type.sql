CREATE FUNCTION count_visible_events_by_type() RETURNS TABLE (event_type text, events bigint)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT l.event_type, count(*) FROM event_logs AS l
     WHERE acts_for_every_tenant() OR l.tenant_id = (SELECT current_tenant())
     GROUP BY l.event_type
$$;

COMMENT ON FUNCTION count_visible_events_by_type() IS
    'How many events of each type there are, of the tenant that the session acts for';
