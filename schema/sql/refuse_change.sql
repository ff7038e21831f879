CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'QF001',
              HINT = 'Append an event that says what changed.';
END
$$;

COMMENT ON FUNCTION refuse_change() IS 'Keeps the log append-only, for its owner too';

CREATE TRIGGER event_logs_refuse_change
    BEFORE UPDATE OR DELETE ON event_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A row trigger lets TRUNCATE through.
CREATE TRIGGER event_logs_refuse_truncate
    BEFORE TRUNCATE ON event_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
