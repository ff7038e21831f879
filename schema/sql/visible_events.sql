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

CREATE FUNCTION count_visible_rows(relation regclass) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
    estimate bigint;
    rows bigint;
BEGIN
    -- Who may see every row is not made to wait for all of them to be counted.
    SELECT reltuples INTO estimate FROM pg_class WHERE oid = relation;
    IF acts_for_every_tenant() AND estimate >= 100000 THEN
        RETURN estimate;
    END IF;
    EXECUTE format('SELECT count(*) FROM %s', relation) INTO rows;
    RETURN rows;
END
$$;

COMMENT ON FUNCTION count_visible_rows(regclass) IS
    'How many rows of a table the session may see; as last estimated where it sees all of many';
