SET LOCAL check_function_bodies = off;

DROP FUNCTION entity_type_of(text);

CREATE OR REPLACE FUNCTION append_batch(events jsonb)
 RETURNS TABLE(event_id uuid, "position" bigint, version integer, appended boolean)
 LANGUAGE plpgsql
 SET enable_nestloop TO 'off'
AS $function$
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
BEGIN
    -- What one call may cost the database. Python sends more as several calls in one transaction.
    IF jsonb_array_length(events) > 10000 THEN
        RAISE EXCEPTION 'append_events takes at most 10000 events in one call, not %',
                        jsonb_array_length(events)
            USING ERRCODE = 'QF002', HINT = 'Make several calls in one transaction.';
    END IF;

    SELECT array_agg(g.tenant_id), array_agg(g.entity_type), array_agg(g.entity_id),
           array_agg(g.n), sum(g.n), sum(g.lacking), sum(g.long)
      INTO tenants, types, entities, counts, distinct_events, lacking, long
      FROM (SELECT e.tenant_id, e.entity_type, e.entity_id, count(DISTINCT e.event_id)::integer AS n,
                   count(*) FILTER (WHERE e.event_id IS NULL OR e.tenant_id IS NULL
                                          OR e.entity_type IS NULL OR e.entity_id IS NULL) AS lacking,
                   count(*) FILTER (WHERE octet_length(e.entity_type) > 200
                                          OR octet_length(e.event_type) > 200) AS long
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
$function$;

CREATE OR REPLACE FUNCTION append_events(events jsonb)
 RETURNS TABLE(event_id uuid, "position" bigint, version integer, appended boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
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
    -- Before anything is locked, read or written: what happens then is visible to the caller, and
    -- would show whether another tenant has this stream.
    IF NOT acts_for_every_tenant() AND tenant IS DISTINCT FROM acting_tenant() THEN
        PERFORM refuse_tenant(tenant);
    END IF;
    IF may_append(kind, event ->> 'event_type') IS NOT TRUE THEN
        PERFORM refuse_event_type(kind, event ->> 'event_type');
    END IF;
    IF octet_length(kind) > 200 OR octet_length(event ->> 'event_type') > 200 THEN
        PERFORM refuse_long_name(event_id, kind, event ->> 'event_type');
    END IF;
    IF is_storable(event -> 'data', event -> 'metadata',
                   (event ->> 'occurred_at')::timestamptz) IS NOT TRUE THEN
        PERFORM refuse_unstorable(event_id, event ->> 'event_type',
                                  event -> 'data', event -> 'metadata',
                                  (event ->> 'occurred_at')::timestamptz);
    END IF;

    floor_of_stream := hold_append_floor();

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
$function$;

CREATE OR REPLACE FUNCTION load_events()
 RETURNS TABLE(appended bigint, repeated bigint, last_position bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET enable_nestloop TO 'off'
 SET work_mem TO '64MB'
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
#variable_conflict use_column
DECLARE
    given bigint;
    ordered boolean;
    unique_ids boolean;
    long_names boolean;
    a_tenant uuid;
    floor_of_all bigint;
    tenants uuid[];
    types text[];
    entities uuid[];
    befores integer[];
    floors bigint[];
    maybe_known uuid[];
    known uuid[] := '{}';
    versions integer[];
BEGIN
    -- A table that somebody else made could run their code with the rights of this function.
    IF NOT EXISTS (SELECT FROM pg_class
                    WHERE oid = to_regclass('pg_temp.load_staging') AND relkind = 'r'
                      AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)) THEN
        RAISE EXCEPTION 'load_events needs the staging table that prepare_load makes'
            USING ERRCODE = 'QF002';
    END IF;

    PERFORM hold_append_floor();
    floor_of_all := last_assigned_position() + 1;

    SELECT count(*), count(DISTINCT ord) = count(*) AND min(ord) >= 1 AND max(ord) <= count(*),
           count(DISTINCT event_id) = count(*),
           bool_or(octet_length(entity_type) > 200 OR octet_length(event_type) > 200)
      INTO given, ordered, unique_ids, long_names
      FROM pg_temp.load_staging;
    IF given = 0 THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, NULL::bigint;
        RETURN;
    END IF;
    IF NOT ordered THEN
        RAISE EXCEPTION 'ord must count the events from 1' USING ERRCODE = 'QF002';
    END IF;

    IF NOT acts_for_every_tenant() THEN
        SELECT s.tenant_id INTO a_tenant FROM pg_temp.load_staging AS s
         WHERE s.tenant_id IS DISTINCT FROM (SELECT current_tenant()) LIMIT 1;
        IF FOUND THEN
            PERFORM refuse_tenant(a_tenant);
        END IF;
    END IF;
    IF may_append(NULL, NULL) IS NOT TRUE THEN
        PERFORM refuse_event_type(s.entity_type, s.event_type) FROM pg_temp.load_staging AS s
          WHERE may_append(s.entity_type, s.event_type) IS NOT TRUE;
    END IF;

    IF long_names THEN
        PERFORM refuse_long_name(s.event_id, s.entity_type, s.event_type)
           FROM pg_temp.load_staging AS s
          WHERE octet_length(s.entity_type) > 200 OR octet_length(s.event_type) > 200;
    END IF;

    IF NOT unique_ids THEN
        PERFORM refuse_reused_event_id(s.event_id)
           FROM pg_temp.load_staging AS s
          GROUP BY s.event_id
         HAVING count(DISTINCT (s.tenant_id, s.entity_type, s.entity_id, s.event_type, s.data)) > 1;
    END IF;

    -- Lock the head of every stream, in the order of append_batch, and take the next versions, as
    -- if every event were new.
    WITH streams AS MATERIALIZED (
        SELECT s.tenant_id, s.entity_type, s.entity_id,
               CASE WHEN unique_ids THEN count(*) ELSE count(DISTINCT s.event_id) END::integer AS n
          FROM pg_temp.load_staging AS s
         GROUP BY s.tenant_id, s.entity_type, s.entity_id
         ORDER BY s.tenant_id, s.entity_type, s.entity_id
    ), heads AS (
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT g.tenant_id, g.entity_type, g.entity_id, g.n, floor_of_all
          FROM streams AS g
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version + excluded.version
          RETURNING head.tenant_id, head.entity_type, head.entity_id, head.version,
                    head.first_position
    )
    SELECT array_agg(tenant_id), array_agg(entity_type), array_agg(entity_id),
           array_agg(h.version - g.n), array_agg(h.first_position)
      INTO tenants, types, entities, befores, floors
      FROM heads AS h JOIN streams AS g USING (tenant_id, entity_type, entity_id);

    -- What the log has already; it can only be in streams that were there before.
    IF 0 < ANY (befores) THEN
        SELECT array_agg(s.event_id) INTO maybe_known
          FROM pg_temp.load_staging AS s
          JOIN unnest(tenants, types, entities, befores) AS h(tenant_id, entity_type, entity_id, before)
         USING (entity_id, tenant_id, entity_type)
         WHERE h.before > 0;
        SELECT min(h.floor) INTO floor_of_all
          FROM unnest(befores, floors) AS h(before, floor) WHERE h.before > 0;
        SELECT coalesce(array_agg(l.event_id) FILTER (
                   WHERE CASE WHEN l.event_type = s.event_type AND l.data = s.data THEN true
                              ELSE refuse_reused_event_id(l.event_id) > 0 END), '{}')
          INTO known
          FROM event_logs AS l
          JOIN pg_temp.load_staging AS s USING (event_id, tenant_id, entity_type, entity_id)
         WHERE l.event_id = ANY (maybe_known) AND l.id >= floor_of_all;
    END IF;
    IF cardinality(known) > 0 THEN
        INSERT INTO event_streams AS head
                    (tenant_id, entity_type, entity_id, version, first_position)
        SELECT s.tenant_id, s.entity_type, s.entity_id, count(DISTINCT s.event_id), 0
          FROM pg_temp.load_staging AS s
         WHERE s.event_id = ANY (known)
         GROUP BY s.tenant_id, s.entity_type, s.entity_id
        -- All of them are there: only the index's way to a row is wanted.
        ON CONFLICT (tenant_id, entity_type, entity_id)
          DO UPDATE SET version = head.version - excluded.version;
    END IF;

    -- The version of the event with each ord; 0 for one that is not appended.
    SELECT array_agg(CASE WHEN v.fresh THEN v.before + v.nth ELSE 0 END ORDER BY v.ord)
      INTO versions
      FROM (SELECT f.ord, f.fresh, h.before,
                   count(*) FILTER (WHERE f.fresh)
                            OVER (PARTITION BY f.entity_id, f.tenant_id, f.entity_type
                                  ORDER BY f.ord ROWS UNBOUNDED PRECEDING)::integer AS nth
              FROM (SELECT s.ord, s.tenant_id, s.entity_type, s.entity_id,
                           (cardinality(known) = 0 OR s.event_id <> ALL (known))
                           AND (unique_ids OR s.ord IN (SELECT min(same.ord)
                                                          FROM pg_temp.load_staging AS same
                                                         GROUP BY same.event_id)) AS fresh
                      FROM pg_temp.load_staging AS s) AS f
              JOIN unnest(tenants, types, entities, befores)
                   AS h(tenant_id, entity_type, entity_id, before)
             USING (entity_id, tenant_id, entity_type)) AS v;

    INSERT INTO event_logs (event_id, tenant_id, entity_type, entity_id, version, event_type,
                            schema_version, data, metadata, user_id, occurred_at, recorded_at)
    SELECT s.event_id, s.tenant_id, s.entity_type, s.entity_id, versions[s.ord], s.event_type,
           s.schema_version,
           CASE WHEN is_storable(s.data, s.metadata, s.occurred_at) THEN s.data
                ELSE refuse_unstorable(s.event_id, s.event_type, s.data, s.metadata,
                                       s.occurred_at) END,
           coalesce(nullif(s.metadata, 'null'), '{}'), s.user_id,
           coalesce(s.occurred_at, clock_timestamp()), clock_timestamp()
      FROM pg_temp.load_staging AS s
     WHERE versions[s.ord] > 0
     ORDER BY s.ord;
    GET DIAGNOSTICS appended = ROW_COUNT;
    repeated := given - appended;
    last_position := last_assigned_position();
    RETURN NEXT;
END
$function$;

CREATE OR REPLACE FUNCTION refuse_event_type(entity_type text, event_type text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION 'an event of type % of an entity of type % is refused: qforge_worker may append events of molecules, calculations and the like only',
            to_json(left(event_type, 200)), to_json(left(entity_type, 200))
        USING ERRCODE = '42501', HINT = 'Append as a member of qforge_appender.';
END
$function$;
