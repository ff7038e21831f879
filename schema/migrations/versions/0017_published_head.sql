CREATE TABLE published_head (
	is_only BOOLEAN DEFAULT true NOT NULL, 
	position BIGINT NOT NULL, 
	published_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT published_head_pkey PRIMARY KEY (is_only), 
	CONSTRAINT there_is_one_row CHECK (is_only), 
	CONSTRAINT published_position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE published_head IS 'The safe head for readers on standby servers, which cannot see who appends';

COMMENT ON COLUMN published_head.is_only IS 'Always true: the table has one row';

COMMENT ON COLUMN published_head.position IS 'Every event up to here was committed before this row was, or will never exist';

COMMENT ON COLUMN published_head.published_at IS 'When that was known, by the database''s clock';

CREATE OR REPLACE FUNCTION safe_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    assigned bigint;
    lowest_floor bigint;
    published bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the safe head has no meaning under isolation level %',
                current_setting('transaction_isolation')
            USING ERRCODE = 'QF005',
                  HINT = 'Read the log under READ COMMITTED: what is committed must be visible.';
    END IF;
    IF pg_is_in_recovery() THEN
        -- A standby has none of the primary's locks, and its sequence is up to 32 positions ahead.
        SELECT h.position INTO published FROM published_head AS h;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'this server is a standby, and its primary has published no safe head'
                USING ERRCODE = 'QF010',
                      HINT = 'Run `qforge project` on the primary, or connect to the primary.';
        END IF;
        RETURN published;
    END IF;
    -- The order matters: the sequence first, the locks second.
    assigned := last_assigned_position();
    SELECT min(((classid::bigint << 32) | objid::bigint) - append_lock_key(0))
      INTO lowest_floor
      FROM pg_locks
     WHERE locktype = 'advisory'
       AND objsubid = 1
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND classid::bigint >> 16 = append_lock_key(0) >> 48;
    RETURN least(assigned, lowest_floor);
END
$$;

COMMENT ON FUNCTION safe_head() IS
    'Every event at or below this position is committed or will never exist; read the log up to it
in a later statement, under READ COMMITTED. On a standby it is the head that the primary published';

CREATE FUNCTION publish_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    head bigint := safe_head();
BEGIN
    -- The row is committed after every event up to the head, so a standby, which replays commits in
    -- their order, shows it after them. The time moves on also while nothing is appended.
    IF NOT EXISTS (SELECT FROM published_head AS h
                    WHERE h.position >= head
                      AND h.published_at > clock_timestamp() - interval '10 seconds') THEN
        INSERT INTO published_head AS h (position, published_at)
             VALUES (head, clock_timestamp())
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
GRANT SELECT ON published_head
   TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;

