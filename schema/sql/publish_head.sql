CREATE FUNCTION publish_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    -- The time first: what is appended after it may be above the head.
    known_at timestamptz := clock_timestamp();
    head bigint := safe_head();
BEGIN
    -- The row is committed after every event up to the head, so a standby, which replays commits in
    -- their order, shows it after them. The time moves on also while nothing is appended.
    IF NOT EXISTS (SELECT FROM published_head AS h
                    WHERE h.position >= head
                      AND h.published_at > clock_timestamp() - interval '10 seconds') THEN
        INSERT INTO published_head AS h (position, published_at)
             VALUES (head, known_at)
        ON CONFLICT (is_only) DO UPDATE
           SET position = greatest(h.position, excluded.position),
               published_at = greatest(h.published_at, excluded.published_at);
    END IF;
    RETURN head;
END
$$;

COMMENT ON FUNCTION publish_head() IS
    'Return the safe head, and publish it for readers on standby servers; a published head never
goes back. Commit at once: other publishers wait for the row, for 2 s at most';

REVOKE EXECUTE ON FUNCTION publish_head() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION publish_head() TO qforge_projector, qforge_admin;

ALTER TABLE published_head ENABLE ROW LEVEL SECURITY;
CREATE POLICY every_reader ON published_head FOR SELECT TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin USING (true);
GRANT SELECT ON published_head
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;
