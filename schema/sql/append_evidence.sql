-- Any login may take an advisory lock, with any key. That a session appends is shown by a lock on
-- this table, too, which nobody else can take: not even PREPARE gets it without USAGE of the schema.
CREATE SCHEMA qforge_private;
COMMENT ON SCHEMA qforge_private IS 'What only the functions of the log may touch';
CREATE TABLE qforge_private.appending ();
COMMENT ON TABLE qforge_private.appending IS
    'Always empty; a transaction that appends holds a lock on it';

CREATE FUNCTION append_evidence() RETURNS oid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'qforge_private.appending'::regclass::oid;

COMMENT ON FUNCTION append_evidence() IS
    'The table on which every transaction that appends holds a lock: see append_locks';
