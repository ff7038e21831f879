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
    IF may_append(kind, event ->> 'event_type') IS NOT TRUE
       OR entity_type_of(event ->> 'event_type') <> kind THEN
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
$$;

COMMENT ON FUNCTION append_events(jsonb) IS
    'Append up to 10,000 events atomically, in the given order, and return where each one is; more
events are atomic as several calls in one transaction. An event is an
object with event_id, tenant_id, entity_type, entity_id, event_type, data and, if wanted,
schema_version, metadata, user_id, occurred_at, expected_version (a number; 0: the stream must not
exist; -1: it must). An event_id that is already in its stream is not appended again.';
