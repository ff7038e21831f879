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
