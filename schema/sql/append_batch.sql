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
    counts integer[];
    befores integer[];
    floors bigint[];
    maybe_known uuid[];
    known uuid[] := '{}';
    conflict record;
    distinct_events bigint;
    distinct_ids bigint;
    lacking bigint;
    long bigint;
    misplaced bigint;
BEGIN
    -- What one call may cost the database. Python sends more as several calls in one transaction.
    IF jsonb_array_length(events) > 10000 THEN
        RAISE EXCEPTION 'append_events takes at most 10000 events in one call, not %',
                        jsonb_array_length(events)
            USING ERRCODE = 'QF002', HINT = 'Make several calls in one transaction.';
    END IF;

    SELECT array_agg(g.tenant_id), array_agg(g.entity_type), array_agg(g.entity_id),
           array_agg(g.n), sum(g.n), sum(g.lacking), sum(g.long),
           sum(g.misplaced)
      INTO tenants, types, entities, counts, distinct_events, lacking, long, misplaced
      FROM (SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id)::integer AS n,
                   count(*) FILTER (WHERE e.event_id IS NULL OR e.tenant_id IS NULL
                                          OR e.entity_type IS NULL OR e.entity_id IS NULL) AS lacking,
                   count(*) FILTER (WHERE octet_length(e.entity_type) > 200
                                          OR octet_length(e.event_type) > 200) AS long,
                   count(*) FILTER (WHERE entity_type_of(e.event_type) <> e.entity_type) AS misplaced
              FROM jsonb_to_recordset(events) AS e(
                   tenant_id uuid, entity_type text, entity_id uuid, event_id uuid, event_type text)
             GROUP BY e.tenant_id, e.entity_type, e.entity_id
             ORDER BY e.tenant_id, e.entity_type, e.entity_id) AS g;
    IF lacking > 0 THEN
        PERFORM refuse_incomplete_event();
    END IF;

    -- Before anything is locked, read or written: what happens then is visible to the caller, and
    -- would show whether another tenant has these streams.
    IF NOT acts_for_every_tenant() THEN
        PERFORM refuse_tenant(t.tenant_id) FROM unnest(tenants) AS t(tenant_id)
          WHERE t.tenant_id IS DISTINCT FROM (SELECT acting_tenant());
    END IF;
    IF may_append(NULL, NULL) IS NOT TRUE THEN
        PERFORM refuse_event_type(e.entity_type, e.event_type)
           FROM jsonb_to_recordset(events) AS e(entity_type text, event_type text)
          WHERE may_append(e.entity_type, e.event_type) IS NOT TRUE;
    END IF;
    IF misplaced > 0 THEN
        PERFORM refuse_event_type(e.entity_type, e.event_type)
           FROM jsonb_to_recordset(events) AS e(entity_type text, event_type text)
          WHERE entity_type_of(e.event_type) <> e.entity_type;
    END IF;

    IF long > 0 THEN
        PERFORM refuse_long_name(e.event_id, e.entity_type, e.event_type)
           FROM jsonb_to_recordset(events) AS e(event_id uuid, entity_type text, event_type text)
          WHERE octet_length(e.entity_type) > 200 OR octet_length(e.event_type) > 200;
    END IF;

    PERFORM hold_append_floor();

    -- Lock the head of every stream, in one order for everybody, and take the next versions, as if
    -- every event were new.
    WITH given AS (
        SELECT * FROM unnest(tenants, types, entities, counts) AS g(tenant_id, entity_type, entity_id, n)
    ), heads AS (
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT g.tenant_id, g.entity_type, g.entity_id, g.n, last_assigned_position() + 1
          FROM given AS g
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + excluded.version
          RETURNING head.tenant_id, head.entity_type, head.entity_id, head.version,
                    head.first_position
    )
    SELECT array_agg(tenant_id), array_agg(entity_type), array_agg(entity_id),
           array_agg(h.version - g.n), array_agg(h.first_position)
      INTO tenants, types, entities, befores, floors
      FROM heads AS h JOIN given AS g USING (tenant_id, entity_type, entity_id);

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
                    ELSE refuse_unstorable(e.event_id, e.event_type, e.data, e.metadata,
                                           e.occurred_at) END,
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
                    ELSE refuse_unstorable(v.event_id, v.event_type, v.data, v.metadata,
                                           v.occurred_at) END,
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
    'The general case of append_events';
