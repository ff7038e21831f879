CREATE FUNCTION prepare_load() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Narrow columns first: most statements of load_events read no others.
    CREATE TEMPORARY TABLE load_staging (
        ord integer NOT NULL,
        event_id uuid NOT NULL,
        tenant_id uuid NOT NULL,
        entity_id uuid NOT NULL,
        user_id uuid,
        occurred_at timestamptz,
        schema_version smallint NOT NULL,
        entity_type text NOT NULL,
        event_type text NOT NULL,
        data jsonb NOT NULL,
        metadata jsonb NOT NULL
    ) ON COMMIT DROP;
    -- A temporary table is out of everybody else's reach.
    GRANT INSERT ON load_staging TO PUBLIC;
END
$$;

COMMENT ON FUNCTION prepare_load() IS
    'Make the temporary table load_staging, to be filled by COPY, for load_events in the same
transaction; ord counts the events from 1 in their order';
