-- What may be done is granted to these; a login is made a member of one. They belong to the whole
-- server, so another database may have made them already, and going down leaves them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['qforge_appender', 'qforge_projector', 'qforge_reader',
                                'qforge_auditor', 'qforge_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- another database's migration made it at the same moment
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % is missing and may not be made by %', name, session_user
                        USING ERRCODE = 'QF006',
                              HINT = 'Let an administrator run what `qforge db roles --sql` prints.';
            END;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        -- A login that an administrator bound to a tenant cannot leave it:
        -- ALTER ROLE alice SET qforge.tenant_id = '…'.
        (SELECT substr(setting, length('qforge.tenant_id=') + 1)
           FROM pg_db_role_setting AS s
           JOIN pg_roles AS r ON r.oid = s.setrole
          CROSS JOIN unnest(s.setconfig) AS setting
          WHERE r.rolname = session_user
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND starts_with(setting, 'qforge.tenant_id=')
          ORDER BY s.setdatabase DESC
          LIMIT 1),
        -- A gateway's claims go before what a session says of itself.
        CASE WHEN coalesce(current_setting('request.jwt.claims', true), '') <> ''
             THEN current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id'
             ELSE nullif(current_setting('qforge.tenant_id', true), '')
        END)::uuid
$$;

COMMENT ON FUNCTION current_tenant() IS
    'Whose rows may be seen: the tenant that the login is bound to, or else the claims of a gateway
(request.jwt.claims), or else the setting qforge.tenant_id; null sees nothing';

CREATE FUNCTION acts_for_every_tenant() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text)::name,
                   'qforge_admin'::name, 'USAGE');

COMMENT ON FUNCTION acts_for_every_tenant() IS
    'Whether the caller administers; asked within a security-definer function, where current_user
is its owner';

CREATE SEQUENCE event_logs_id_seq AS BIGINT CACHE 1;

CREATE TABLE event_logs (
	id BIGINT DEFAULT nextval('event_logs_id_seq') NOT NULL, 
	event_id UUID NOT NULL, 
	tenant_id UUID NOT NULL, 
	entity_type TEXT NOT NULL, 
	entity_id UUID NOT NULL, 
	version INTEGER NOT NULL, 
	event_type TEXT NOT NULL, 
	schema_version SMALLINT NOT NULL, 
	data JSONB NOT NULL, 
	metadata JSONB NOT NULL, 
	user_id UUID, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT event_logs_pkey PRIMARY KEY (id)
)
 PARTITION BY RANGE (id);

ALTER SEQUENCE event_logs_id_seq OWNED BY event_logs.id;

CREATE INDEX event_logs_event_id_idx ON event_logs (event_id);

CREATE INDEX event_logs_occurred_at_idx ON event_logs USING brin (occurred_at);

CREATE INDEX event_logs_recorded_at_idx ON event_logs USING brin (recorded_at);

CREATE INDEX event_logs_stream_idx ON event_logs (entity_id, version);

CREATE INDEX event_logs_type_idx ON event_logs (event_type, id);

CREATE INDEX event_logs_user_idx ON event_logs (user_id, id) WHERE user_id IS NOT NULL;

COMMENT ON TABLE event_logs IS 'Every action as an event; append-only; everything else is derived from it';

COMMENT ON COLUMN event_logs.id IS 'Position in the log; grows, has gaps';

COMMENT ON COLUMN event_logs.event_id IS 'The client''s id of the event (UUIDv7); a retry repeats it';

COMMENT ON COLUMN event_logs.tenant_id IS 'Who owns the data';

COMMENT ON COLUMN event_logs.entity_type IS 'What kind of thing it happened to';

COMMENT ON COLUMN event_logs.entity_id IS 'Which thing; with tenant and type, the stream';

COMMENT ON COLUMN event_logs.version IS '1, 2, … within the stream, dense';

COMMENT ON COLUMN event_logs.event_type IS 'What happened';

COMMENT ON COLUMN event_logs.schema_version IS 'Version of the event type''s fields';

COMMENT ON COLUMN event_logs.data IS 'The event''s own facts';

COMMENT ON COLUMN event_logs.metadata IS 'host, service, program versions, ip, correlation_id, …';

COMMENT ON COLUMN event_logs.user_id IS 'Who did it; null for the system itself';

COMMENT ON COLUMN event_logs.occurred_at IS 'When it happened, by the client''s clock';

COMMENT ON COLUMN event_logs.recorded_at IS 'When it was appended, by the database''s clock';

CREATE TABLE event_streams (
	tenant_id UUID NOT NULL, 
	entity_type TEXT NOT NULL, 
	entity_id UUID NOT NULL, 
	version INTEGER NOT NULL, 
	first_position BIGINT NOT NULL, 
	CONSTRAINT event_streams_pkey PRIMARY KEY (tenant_id, entity_type, entity_id), 
	CONSTRAINT head_version_is_positive CHECK (version > 0)
)
 WITH (fillfactor = 80);

COMMENT ON TABLE event_streams IS 'The head of each stream; an append locks the heads that it touches';

COMMENT ON COLUMN event_streams.tenant_id IS 'Who owns the stream';

COMMENT ON COLUMN event_streams.entity_type IS 'What kind of thing';

COMMENT ON COLUMN event_streams.entity_id IS 'Which thing';

COMMENT ON COLUMN event_streams.version IS 'Version of the stream''s last event';

COMMENT ON COLUMN event_streams.first_position IS 'No event of the stream lies below it';

CREATE TABLE projection_checkpoints (
	projection TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	consumed BIGINT NOT NULL, 
	ids_hash BIGINT NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT projection_checkpoints_pkey PRIMARY KEY (projection), 
	CONSTRAINT position_is_not_negative CHECK (position >= 0)
);

COMMENT ON TABLE projection_checkpoints IS 'How far each projection has come; moves in the transaction that moves its rows';

COMMENT ON COLUMN projection_checkpoints.projection IS 'Name of the projection and of its table';

COMMENT ON COLUMN projection_checkpoints.fingerprint IS 'Of the definition that filled the table';

COMMENT ON COLUMN projection_checkpoints.position IS 'Every event up to here is folded in';

COMMENT ON COLUMN projection_checkpoints.consumed IS 'How many events of its types that were';

COMMENT ON COLUMN projection_checkpoints.ids_hash IS 'XOR of the hashes of their positions';

COMMENT ON COLUMN projection_checkpoints.updated_at IS 'When the checkpoint last moved, by the database''s clock';

CREATE FUNCTION append_lock_key(floor bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (x'5146'::bigint << 48) + floor;

COMMENT ON FUNCTION append_lock_key(bigint) IS
    'Key of the shared advisory lock that says: what I append will lie above this position.
The upper 16 bits are QF in ASCII, the lower 48 the position';

CREATE FUNCTION last_assigned_position() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN coalesce(pg_sequence_last_value('event_logs_id_seq'::regclass), 0);

COMMENT ON FUNCTION last_assigned_position() IS
    'The highest position that any append has taken, committed or not';

CREATE FUNCTION safe_head() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
    assigned bigint;
    lowest_floor bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the safe head has no meaning under isolation level %',
                current_setting('transaction_isolation')
            USING ERRCODE = 'QF005',
                  HINT = 'Read the log under READ COMMITTED: what is committed must be visible.';
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
in a later statement, under READ COMMITTED';

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

CREATE FUNCTION create_event_partition(first_position bigint, last_position bigint) RETURNS text
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    name text := format('event_logs_p%s', lpad(first_position::text, 15, '0'));
BEGIN
    -- Made apart and attached: CREATE … PARTITION OF would wait for every writer.
    EXECUTE format('CREATE TABLE %I (LIKE event_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS
                                                     INCLUDING COMMENTS)', name);
    EXECUTE format('ALTER TABLE event_logs ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, first_position, last_position + 1);
    -- Row triggers and indexes come with the attachment; these do not.
    EXECUTE format('CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    RETURN name;
END
$$;

COMMENT ON FUNCTION create_event_partition(bigint, bigint) IS
    'Make the partition of the log for positions from first to last, both included';

-- Running out of prepared partitions must lose and refuse nothing.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;
CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON event_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE event_logs_default ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION event_partitions()
RETURNS TABLE (name text, first_position bigint, last_position bigint, rows bigint, bytes bigint)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT c.relname::text,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(\d+)''?\)'))[1]::bigint,
           (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(\d+)''?\)'))[1]::bigint - 1,
           greatest(c.reltuples, 0)::bigint,
           pg_total_relation_size(c.oid)
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'event_logs'::regclass
     ORDER BY 2 NULLS LAST
$$;

COMMENT ON FUNCTION event_partitions() IS
    'The partitions of the log with their first and last position (null for the default one), their
rows as last estimated, and their bytes with indexes';

CREATE FUNCTION maintain_event_partitions(size bigint DEFAULT 10000000, ahead integer DEFAULT 2)
RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    head bigint := last_assigned_position();
    prepared bigint;
BEGIN
    -- One at a time; whoever comes second finds it done.
    PERFORM pg_advisory_xact_lock(hashtext('maintain_event_partitions'));
    SELECT coalesce(max(last_position), 0) INTO prepared FROM event_partitions();
    WHILE prepared < head + size * ahead LOOP
        IF prepared < head THEN
            -- Some positions went to the default partition, and stay there: begin above them.
            prepared := (head / size + 1) * size;
        END IF;
        RETURN NEXT create_event_partition(prepared + 1, prepared + size);
        prepared := prepared + size;
    END LOOP;
END
$$;

COMMENT ON FUNCTION maintain_event_partitions(bigint, integer) IS
    'Make partitions of the log ahead of need, and return their names: none when enough are there';

SELECT maintain_event_partitions();

CREATE FUNCTION refuse_reused_event_id(event_id uuid) RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'event id % is already taken by an event with other content', event_id
        USING ERRCODE = 'QF004',
              HINT = 'Give every event an id of its own; repeat an id only to retry the same event.';
END
$$;

COMMENT ON FUNCTION refuse_reused_event_id(uuid) IS
    'A repeated event_id is a retry only if the event is the same: otherwise one would be lost';

CREATE FUNCTION refuse_incomplete_event() RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event lacks its event_id, tenant_id, entity_type or entity_id'
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_incomplete_event() IS 'An event does not say which stream it belongs to';

CREATE FUNCTION refuse_version(
    tenant_id uuid, entity_type text, entity_id uuid, expected integer, actual integer
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'stream %/% is at version %, not at the expected %',
            entity_type, entity_id, actual, expected
        USING ERRCODE = 'QF003',
              DETAIL = jsonb_build_object(
                  'tenant_id', tenant_id, 'entity_type', entity_type, 'entity_id', entity_id,
                  'expected', expected, 'actual', actual)::text;
END
$$;

COMMENT ON FUNCTION refuse_version(uuid, text, uuid, integer, integer) IS
    'A stream is not at the version that an append expected';

CREATE FUNCTION refuse_tenant(tenant_id uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'an event of tenant % is refused: this session acts for %',
            tenant_id, coalesce(current_tenant()::text, 'no tenant')
        USING ERRCODE = 'QF007',
              HINT = 'Set qforge.tenant_id, or append as a member of qforge_admin.';
END
$$;

COMMENT ON FUNCTION refuse_tenant(uuid) IS 'An event belongs to another tenant than the session';

CREATE FUNCTION is_storable(data jsonb, metadata jsonb, occurred_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_typeof(data) = 'object'
   AND coalesce(jsonb_typeof(metadata), 'null') IN ('object', 'null')
   -- PostgreSQL nests JSON thousands deep; parsers elsewhere give up, and then nobody reads on.
   AND NOT data @? '$.**{100}'
   AND NOT coalesce(metadata @? '$.**{100}', false)
   -- Infinity and the year 20000 are times to PostgreSQL and an error to every reader in Python.
   AND coalesce(occurred_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00', true);

COMMENT ON FUNCTION is_storable(jsonb, jsonb, timestamptz) IS
    'Whether every reader can read such an event; metadata and time may be null. What appends asks
it: as CHECKs of the log, these rules would be read from the catalogue anew by every append';

CREATE FUNCTION refuse_unstorable(data jsonb, metadata jsonb, occurred_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%', CASE
        WHEN jsonb_typeof(data) IS DISTINCT FROM 'object' THEN 'an event''s data is not an object'
        WHEN jsonb_typeof(metadata) NOT IN ('object', 'null')
        THEN 'an event''s metadata is not an object'
        WHEN is_storable(data, metadata, NULL) THEN 'an event''s occurred_at is not in the calendar'
        ELSE 'an event''s data or metadata is 100 deep or deeper' END
        USING ERRCODE = 'QF002';
END
$$;

COMMENT ON FUNCTION refuse_unstorable(jsonb, jsonb, timestamptz) IS
    'Say why an event is not storable';

CREATE FUNCTION append_batch(events jsonb)
RETURNS TABLE (event_id uuid, "position" bigint, version integer, appended boolean)
LANGUAGE plpgsql VOLATILE
-- The planner takes a call for 100 events, and nested loops over 5,000 for cheap. What is looked
-- up in a table is looked up by arrays.
SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
    tenants uuid[];
    types text[];
    entities uuid[];
    befores integer[];
    floors bigint[];
    maybe_known uuid[];
    known uuid[] := '{}';
    conflict record;
    distinct_events bigint;
    distinct_ids bigint;
BEGIN
    -- Lock the head of every stream, in one order for everybody, and take the next versions, as if
    -- every event were new.
    WITH given AS (
        SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id)::integer AS n,
               count(*) FILTER (WHERE e.event_id IS NULL OR e.tenant_id IS NULL
                                      OR e.entity_type IS NULL OR e.entity_id IS NULL) AS lacking
          FROM jsonb_to_recordset(events) AS e(
               tenant_id uuid, entity_type text, entity_id uuid, event_id uuid)
         GROUP BY e.tenant_id, e.entity_type, e.entity_id
         ORDER BY e.tenant_id, e.entity_type, e.entity_id
    ), heads AS (
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT g.tenant_id, g.entity_type, g.entity_id,
               CASE WHEN g.lacking = 0 THEN g.n ELSE refuse_incomplete_event() END,
               last_assigned_position() + 1
          FROM given AS g
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + excluded.version
          RETURNING head.tenant_id, head.entity_type, head.entity_id, head.version,
                    head.first_position
    )
    SELECT array_agg(tenant_id), array_agg(entity_type), array_agg(entity_id),
           array_agg(h.version - g.n), array_agg(h.first_position), sum(g.n)
      INTO tenants, types, entities, befores, floors, distinct_events
      FROM heads AS h JOIN given AS g USING (tenant_id, entity_type, entity_id);

    IF NOT acts_for_every_tenant() THEN
        PERFORM refuse_tenant(t.tenant_id) FROM unnest(tenants) AS t(tenant_id)
          WHERE t.tenant_id IS DISTINCT FROM current_tenant();
    END IF;

    IF distinct_events < jsonb_array_length(events) THEN
        PERFORM refuse_reused_event_id(e.event_id)
           FROM jsonb_to_recordset(events) AS e(
                tenant_id uuid, entity_type text, entity_id uuid, event_id uuid, event_type text,
                data jsonb)
          GROUP BY e.tenant_id, e.entity_type, e.entity_id, e.event_id
         HAVING count(DISTINCT (e.event_type, e.data)) > 1;
    END IF;

    -- An id belongs to one stream: what is known in one would seem known in the other.
    IF cardinality(tenants) > 1 THEN
        SELECT count(DISTINCT e.event_id) INTO distinct_ids
          FROM jsonb_to_recordset(events) AS e(event_id uuid);
        IF distinct_ids < distinct_events THEN
            RAISE EXCEPTION 'one event_id is used for events of two streams' USING ERRCODE = 'QF004';
        END IF;
    END IF;

    -- What the log has already; it can only be in streams that were there before.
    IF 0 < ANY (befores) THEN
        SELECT array_agg(e.event_id) INTO maybe_known
          FROM jsonb_to_recordset(events) AS e(
               tenant_id uuid, entity_type text, entity_id uuid, event_id uuid)
          JOIN unnest(tenants, types, entities, befores) AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         WHERE s.before > 0;
        SELECT coalesce(array_agg(l.event_id), '{}') INTO known
          FROM event_logs AS l
         WHERE l.event_id = ANY (maybe_known)
           AND l.id >= (SELECT min(floor) FROM unnest(befores, floors) AS s(before, floor)
                         WHERE before > 0)
           AND (l.event_id, l.tenant_id, l.entity_type, l.entity_id) IN (
               SELECT e.event_id, e.tenant_id, e.entity_type, e.entity_id
                 FROM jsonb_to_recordset(events) AS e(
                      tenant_id uuid, entity_type text, entity_id uuid, event_id uuid));
    END IF;
    IF cardinality(known) > 0 THEN
        UPDATE event_streams AS head
           SET version = head.version - again.n
          FROM (SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id) AS n
                  FROM jsonb_to_recordset(events) AS e(
                       tenant_id uuid, entity_type text, entity_id uuid, event_id uuid)
                 WHERE e.event_id = ANY (known)
                 GROUP BY e.tenant_id, e.entity_type, e.entity_id) AS again
         WHERE head.tenant_id = ANY (tenants) AND head.tenant_id = again.tenant_id
           AND head.entity_type = ANY (types) AND head.entity_type = again.entity_type
           AND head.entity_id = ANY (entities) AND head.entity_id = again.entity_id;
    END IF;

    -- 0: must not exist. −1: must exist. A retry expects what held before its first try.
    IF jsonb_path_exists(events, '$[*].expected_version ? (@ != null)') THEN
        SELECT s.*, e.expected, e.least_expected INTO conflict
          FROM unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
          JOIN (SELECT g.tenant_id, g.entity_type, g.entity_id,
                       max(g.expected_version) AS expected,
                       min(g.expected_version) AS least_expected,
                       count(DISTINCT g.event_id) FILTER (WHERE g.event_id = ANY (known)) AS again,
                       count(DISTINCT g.event_id) AS n
                  FROM jsonb_to_recordset(events) AS g(
                       tenant_id uuid, entity_type text, entity_id uuid, event_id uuid,
                       expected_version integer)
                 GROUP BY g.tenant_id, g.entity_type, g.entity_id) AS e
         USING (tenant_id, entity_type, entity_id)
         WHERE e.n > e.again
           AND (e.expected <> e.least_expected
                OR CASE e.expected WHEN -1 THEN s.before = 0
                                   ELSE e.expected + e.again <> s.before END)
         LIMIT 1;
        IF FOUND THEN
            IF conflict.expected <> conflict.least_expected THEN
                RAISE EXCEPTION 'two expected versions, % and %, for one stream',
                        conflict.least_expected, conflict.expected USING ERRCODE = 'QF002';
            END IF;
            PERFORM refuse_version(conflict.tenant_id, conflict.entity_type, conflict.entity_id,
                                   conflict.expected, conflict.before);
        END IF;
    END IF;

    -- Nothing repeated, nothing known: as they come. Rows are returned as they are inserted.
    IF cardinality(known) = 0 AND distinct_events = jsonb_array_length(events) THEN
        RETURN QUERY
        INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                                schema_version, data, metadata, user_id, occurred_at, recorded_at)
        SELECT e.event_id, e.tenant_id, e.entity_type, e.entity_id,
               s.before + CASE WHEN cardinality(tenants) = 1 THEN e.ord
                               ELSE row_number() OVER (PARTITION BY e.entity_id, e.entity_type,
                                                                    e.tenant_id
                                                       ORDER BY e.ord) END,
               e.event_type, coalesce(e.schema_version, 1),
               CASE WHEN is_storable(e.data, e.metadata, e.occurred_at) THEN e.data
                    ELSE refuse_unstorable(e.data, e.metadata, e.occurred_at) END,
               coalesce(nullif(e.metadata, 'null'), '{}'), e.user_id,
               coalesce(e.occurred_at, clock_timestamp()), clock_timestamp()
          FROM ROWS FROM (jsonb_to_recordset(events) AS (
                   event_id uuid, tenant_id uuid, entity_type text, entity_id uuid, event_type text,
                   schema_version smallint, data jsonb, metadata jsonb, user_id uuid,
                   occurred_at timestamptz)) WITH ORDINALITY AS e(
                   event_id, tenant_id, entity_type, entity_id, event_type,
                   schema_version, data, metadata, user_id, occurred_at, ord)
          JOIN unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         ORDER BY e.ord
        RETURNING event_logs.event_id, event_logs.id, event_logs.version, true;
        RETURN;
    END IF;

    RETURN QUERY
    WITH given AS (
        SELECT e.*,
               row_number() OVER (PARTITION BY e.tenant_id, e.entity_type, e.entity_id, e.event_id
                                  ORDER BY e.ord) AS occurrence
          FROM ROWS FROM (jsonb_to_recordset(events) AS (
                   event_id uuid, tenant_id uuid, entity_type text, entity_id uuid, event_type text,
                   schema_version smallint, data jsonb, metadata jsonb, user_id uuid,
                   occurred_at timestamptz)) WITH ORDINALITY AS e(
                   event_id, tenant_id, entity_type, entity_id, event_type,
                   schema_version, data, metadata, user_id, occurred_at, ord)
    ), versioned AS (
        SELECT g.*,
               s.before + row_number() OVER (PARTITION BY g.tenant_id, g.entity_type, g.entity_id
                                             ORDER BY g.ord) AS version
          FROM given AS g
          JOIN unnest(tenants, types, entities, befores)
               AS s(tenant_id, entity_type, entity_id, before)
         USING (tenant_id, entity_type, entity_id)
         WHERE g.occurrence = 1 AND g.event_id <> ALL (known)
    ), inserted AS (
        INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                                schema_version, data, metadata, user_id, occurred_at, recorded_at)
        SELECT v.event_id, v.tenant_id, v.entity_type, v.entity_id, v.version, v.event_type,
               coalesce(v.schema_version, 1),
               CASE WHEN is_storable(v.data, v.metadata, v.occurred_at) THEN v.data
                    ELSE refuse_unstorable(v.data, v.metadata, v.occurred_at) END,
               coalesce(nullif(v.metadata, 'null'), '{}'), v.user_id,
               coalesce(v.occurred_at, clock_timestamp()), clock_timestamp()
          FROM versioned AS v
         ORDER BY v.ord
        RETURNING event_logs.id, event_logs.event_id, event_logs.entity_id, event_logs.version
    ), repeated AS (
        SELECT l.id, l.event_id, l.entity_id, l.version,
               l.event_type IS NOT DISTINCT FROM g.event_type AND l.data = g.data AS same
          FROM given AS g
          JOIN event_logs AS l
         USING (event_id, tenant_id, entity_type, entity_id)
         WHERE cardinality(known) > 0 AND g.event_id = ANY (known)
           AND l.event_id = ANY (known) AND g.occurrence = 1
    ), outcome AS (
        SELECT i.event_id, i.entity_id, i.id, i.version, true AS appended FROM inserted AS i
        UNION ALL
        SELECT r.event_id, r.entity_id,
               CASE WHEN r.same THEN r.id ELSE refuse_reused_event_id(r.event_id) END, r.version,
               false
          FROM repeated AS r
    )
    SELECT o.event_id, o.id, o.version, o.appended
      FROM given AS g
      JOIN outcome AS o USING (event_id, entity_id)
     ORDER BY g.ord;
END
$$;

COMMENT ON FUNCTION append_batch(jsonb) IS
    'The general case of append_events, which calls it after taking the append lock';

CREATE FUNCTION append_events(events jsonb)
RETURNS TABLE (event_id uuid, "position" bigint, version integer, appended boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    event jsonb;
    tenant uuid;
    kind text;
    entity uuid;
    expected integer;
    floor_of_stream bigint;
    known record;
BEGIN
    IF jsonb_typeof(events) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'append_events takes a JSON array of events' USING ERRCODE = 'QF002';
    END IF;

    -- "Whatever I append will lie above this": see safe_head. A mere expression costs half of what
    -- a PERFORM does; the lock is never NULL.
    floor_of_stream := last_assigned_position();
    IF pg_advisory_xact_lock_shared(append_lock_key(floor_of_stream)) IS NULL THEN
        RETURN;
    END IF;

    IF jsonb_array_length(events) <> 1 THEN
        RETURN QUERY SELECT * FROM append_batch(events);
        RETURN;
    END IF;

    -- One event, by far the most frequent call, needs none of the batch's joins.
    event := events -> 0;
    event_id := event ->> 'event_id';
    tenant := event ->> 'tenant_id';
    kind := event ->> 'entity_type';
    entity := event ->> 'entity_id';
    expected := event ->> 'expected_version';
    IF event_id IS NULL OR tenant IS NULL OR kind IS NULL OR entity IS NULL THEN
        PERFORM refuse_incomplete_event();
    END IF;
    IF is_storable(event -> 'data', event -> 'metadata',
                   (event ->> 'occurred_at')::timestamptz) IS NOT TRUE THEN
        PERFORM refuse_unstorable(event -> 'data', event -> 'metadata',
                                  (event ->> 'occurred_at')::timestamptz);
    END IF;
    IF NOT acts_for_every_tenant() AND tenant IS DISTINCT FROM current_tenant() THEN
        PERFORM refuse_tenant(tenant);
    END IF;

    INSERT INTO event_streams AS head (tenant_id, entity_type, entity_id, version, first_position)
         VALUES (tenant, kind, entity, 1, floor_of_stream + 1)
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE SET version = head.version + 1
      RETURNING head.version, head.first_position INTO version, floor_of_stream;

    IF version > 1 THEN
        SELECT l.id, l.version,
               l.event_type IS NOT DISTINCT FROM event ->> 'event_type'
               AND l.data = event -> 'data' AS same
          INTO known
          FROM event_logs AS l
         WHERE l.event_id = append_events.event_id AND l.id >= floor_of_stream
           AND l.entity_id = entity AND l.entity_type = kind AND l.tenant_id = tenant;
        IF FOUND THEN
            IF known.same IS NOT TRUE THEN
                PERFORM refuse_reused_event_id(event_id);
            END IF;
            UPDATE event_streams AS head SET version = head.version - 1
             WHERE head.tenant_id = tenant AND head.entity_type = kind AND head.entity_id = entity;
            position := known.id;
            version := known.version;
            appended := false;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    -- 0: must not exist. −1: must exist.
    IF (CASE expected WHEN -1 THEN version = 1 ELSE version - 1 <> expected END) THEN
        PERFORM refuse_version(tenant, kind, entity, expected, version - 1);
    END IF;

    INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                            schema_version, data, metadata, user_id, occurred_at, recorded_at)
         VALUES (event_id, tenant, kind, entity, version, event ->> 'event_type',
                 coalesce((event ->> 'schema_version')::smallint, 1),
                 event -> 'data', coalesce(nullif(event -> 'metadata', 'null'), '{}'),
                 (event ->> 'user_id')::uuid,
                 coalesce((event ->> 'occurred_at')::timestamptz, clock_timestamp()),
                 clock_timestamp())
      RETURNING id INTO position;
    appended := true;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION append_events(jsonb) IS
    'Append events atomically, in the given order, and return where each one is. An event is an
object with event_id, tenant_id, entity_type, entity_id, event_type, data and, if wanted,
schema_version, metadata, user_id, occurred_at, expected_version (a number; 0: the stream must not
exist; -1: it must). An event_id that is already in its stream is not appended again.';

REVOKE EXECUTE ON FUNCTION append_events(jsonb), append_batch(jsonb),
                           create_event_partition(bigint, bigint),
                           maintain_event_partitions(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events(jsonb) TO qforge_appender, qforge_admin;
GRANT EXECUTE ON FUNCTION maintain_event_partitions(bigint, integer) TO qforge_projector, qforge_admin;
GRANT SELECT ON SEQUENCE event_logs_id_seq
   TO qforge_projector, qforge_reader, qforge_auditor, qforge_admin;

-- The log: readable to those who project, audit and administer; written by append_events alone.
ALTER TABLE event_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_logs FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_logs FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_logs TO qforge_projector, qforge_auditor, qforge_admin;

ALTER TABLE event_streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON event_streams FOR SELECT USING (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON event_streams FOR SELECT TO qforge_projector, qforge_admin USING (true);
GRANT SELECT ON event_streams TO qforge_projector, qforge_auditor, qforge_admin;

-- Checkpoints name no tenant: whoever reads a table may know how far it has come.
GRANT SELECT ON projection_checkpoints TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints TO qforge_projector, qforge_admin;

CREATE AGGREGATE merge_payloads(jsonb) (
    SFUNC = jsonb_concat,
    STYPE = jsonb,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE merge_payloads(jsonb) IS
    'The last value of each field of JSON objects in the order given; an absent field leaves a value
alone, a null replaces it. A lone object is passed through untouched';

CREATE FUNCTION upcast_payload(data jsonb, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    step jsonb;
    kind text;
    given jsonb;
    field text;
BEGIN
    FOR step IN SELECT * FROM jsonb_array_elements(steps) LOOP
        SELECT key, value INTO kind, given FROM jsonb_each(step);
        field := given ->> 0;
        CASE kind
            WHEN 'rename' THEN
                IF data ? field THEN
                    data := (data - field) || jsonb_build_object(given ->> 1, data -> field);
                END IF;
            WHEN 'default' THEN
                data := jsonb_build_object(field, given -> 1) || data;
            WHEN 'convert' THEN
                IF jsonb_typeof(data -> field) = 'number' THEN
                    data := data || jsonb_build_object(
                        field, (data ->> field)::numeric * (given ->> 1)::numeric
                               + (given ->> 2)::numeric);
                END IF;
            WHEN 'drop' THEN
                data := data - field;
        END CASE;
    END LOOP;
    RETURN data;
END
$$;

COMMENT ON FUNCTION upcast_payload(jsonb, jsonb) IS
    'A payload of an older schema version as one of today''s, by the steps that its event type declares';

CREATE FUNCTION merge_tallies(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(jsonb_object_agg(value, count), '{}')
      FROM (SELECT key AS value, sum(n::bigint) AS count
              FROM (SELECT * FROM jsonb_each_text(coalesce(a, '{}'))
                    UNION ALL
                    SELECT * FROM jsonb_each_text(coalesce(b, '{}'))) AS both_tallies(key, n)
             GROUP BY key) AS merged
);

COMMENT ON FUNCTION merge_tallies(jsonb, jsonb) IS 'Add two tallies (value → count); null is empty';

