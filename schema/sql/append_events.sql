CREATE FUNCTION append_events(events jsonb)
RETURNS TABLE (event_id uuid, "position" bigint, version integer, appended boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    stream record;
    actual integer;
    first_position bigint;
    known_ids uuid[];
    all_known uuid[] := '{}';
    added integer;
    tenants uuid[] := '{}';
    types text[] := '{}';
    entities uuid[] := '{}';
    bases integer[] := '{}';
    placed bigint;
BEGIN
    IF jsonb_typeof(events) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'append_events takes a JSON array of events' USING ERRCODE = 'QF002';
    END IF;

    -- "Whatever I append will lie above this": see safe_head.
    PERFORM pg_advisory_xact_lock_shared(append_lock_key(last_assigned_position()));

    -- Lock the head of every stream, in one order for everybody, and take the next versions.
    FOR stream IN
        SELECT e.tenant_id, e.entity_type, e.entity_id,
               array_agg(DISTINCT e.event_id) AS event_ids,
               max(e.expected_version) AS expected,
               min(e.expected_version) AS least_expected
          FROM jsonb_to_recordset(events) AS e(
               tenant_id uuid, entity_type text, entity_id uuid, event_id uuid, expected_version integer)
         GROUP BY e.tenant_id, e.entity_type, e.entity_id
         ORDER BY e.tenant_id, e.entity_type, e.entity_id
    LOOP
        IF stream.tenant_id IS NULL OR stream.entity_type IS NULL OR stream.entity_id IS NULL
           OR array_position(stream.event_ids, NULL) IS NOT NULL THEN
            RAISE EXCEPTION 'an event lacks its event_id, tenant_id, entity_type or entity_id'
                USING ERRCODE = 'QF002';
        END IF;
        IF stream.expected <> stream.least_expected THEN
            RAISE EXCEPTION 'two expected versions, % and %, for one stream',
                    stream.least_expected, stream.expected
                USING ERRCODE = 'QF002';
        END IF;
        added := cardinality(stream.event_ids);
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
             VALUES (stream.tenant_id, stream.entity_type, stream.entity_id, added,
                     last_assigned_position() + 1)
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + added
          RETURNING head.version - added, head.first_position INTO actual, first_position;

        known_ids := '{}';
        IF actual > 0 THEN
            SELECT coalesce(array_agg(l.event_id), '{}') INTO known_ids
              FROM event_logs AS l
             WHERE l.event_id = ANY (stream.event_ids)
               AND l.id >= first_position
               AND l.entity_id = stream.entity_id
               AND l.entity_type = stream.entity_type
               AND l.tenant_id = stream.tenant_id;
        END IF;
        IF cardinality(known_ids) > 0 THEN
            UPDATE event_streams AS head
               SET version = head.version - cardinality(known_ids)
             WHERE head.tenant_id = stream.tenant_id
               AND head.entity_type = stream.entity_type
               AND head.entity_id = stream.entity_id;
            all_known := all_known || known_ids;
        END IF;

        -- 0: must not exist. −1: must exist. A retry expects what held before its first try.
        IF added > cardinality(known_ids)
           AND (CASE stream.expected
                    WHEN -1 THEN actual = 0
                    ELSE stream.expected + cardinality(known_ids) <> actual
                END) THEN
            RAISE EXCEPTION 'stream %/% is at version %, not at the expected %',
                    stream.entity_type, stream.entity_id, actual, stream.expected
                USING ERRCODE = 'QF003',
                      DETAIL = jsonb_build_object(
                          'tenant_id', stream.tenant_id, 'entity_type', stream.entity_type,
                          'entity_id', stream.entity_id, 'expected', stream.expected,
                          'actual', actual)::text;
        END IF;
        tenants := tenants || stream.tenant_id;
        types := types || stream.entity_type;
        entities := entities || stream.entity_id;
        bases := bases || actual;
    END LOOP;

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
               base + row_number() OVER (PARTITION BY g.tenant_id, g.entity_type, g.entity_id
                                         ORDER BY g.ord) AS version
          FROM given AS g
          JOIN unnest(tenants, types, entities, bases) AS s(tenant_id, entity_type, entity_id, base)
         USING (tenant_id, entity_type, entity_id)
         WHERE g.occurrence = 1 AND g.event_id <> ALL (all_known)
         ORDER BY g.ord
    ), inserted AS (
        INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                                schema_version, data, metadata, user_id, occurred_at, recorded_at)
        SELECT v.event_id, v.tenant_id, v.entity_type, v.entity_id, v.version, v.event_type,
               coalesce(v.schema_version, 1), v.data, coalesce(v.metadata, '{}'), v.user_id,
               coalesce(v.occurred_at, clock_timestamp()), clock_timestamp()
          FROM versioned AS v
         ORDER BY v.ord
        RETURNING event_logs.id, event_logs.event_id, event_logs.entity_id, event_logs.version
    ), repeated AS (
        SELECT l.id, l.event_id, l.entity_id, l.version,
               l.event_type = g.event_type AND l.data = g.data AS same
          FROM given AS g
          JOIN event_logs AS l
         USING (event_id, tenant_id, entity_type, entity_id)
         WHERE g.event_id = ANY (all_known) AND g.occurrence = 1
    ), outcome AS (
        SELECT i.event_id, i.entity_id, i.id, i.version, true AS appended FROM inserted AS i
        UNION ALL
        SELECT r.event_id, r.entity_id,
               CASE WHEN r.same THEN r.id ELSE refuse_reused_event_id(r.event_id) END, r.version, false
          FROM repeated AS r
    )
    SELECT o.event_id, o.id, o.version, o.appended
      FROM given AS g
      JOIN outcome AS o USING (event_id, entity_id)
     ORDER BY g.ord;

    GET DIAGNOSTICS placed = ROW_COUNT;
    IF placed <> jsonb_array_length(events) THEN
        RAISE EXCEPTION 'one event_id is used for events of two streams' USING ERRCODE = 'QF004';
    END IF;
END
$$;

COMMENT ON FUNCTION append_events(jsonb) IS
    'Append events atomically, in the given order, and return where each one is. An event is an
object with event_id, tenant_id, entity_type, entity_id, event_type, data and, if wanted,
schema_version, metadata, user_id, occurred_at, expected_version (a number; 0: the stream must not
exist; -1: it must). An event_id that is already in its stream is not appended again.';
