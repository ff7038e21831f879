CREATE FUNCTION load_events()
RETURNS TABLE (appended bigint, repeated bigint, last_position bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp
-- The planner knows nothing of the staging table and of arrays. What is looked up in a table is
-- looked up by arrays or by ON CONFLICT; what remains are joins of equals, for which hashing is best.
SET enable_nestloop = off
SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    given bigint;
    ordered boolean;
    unique_ids boolean;
    long_names boolean;
    misplaced boolean;
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
           bool_or(octet_length(entity_type) > 200 OR octet_length(event_type) > 200),
           bool_or(entity_type_of(event_type) <> entity_type)
      INTO given, ordered, unique_ids, long_names, misplaced
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
    IF misplaced THEN
        PERFORM refuse_event_type(s.entity_type, s.event_type) FROM pg_temp.load_staging AS s
          WHERE entity_type_of(s.event_type) <> s.entity_type;
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
$$;

COMMENT ON FUNCTION load_events() IS
    'Append the events of load_staging in the order of ord, with every guarantee of append_events:
versions, retries by event_id, safe head, tenants. It knows no expected_version';

REVOKE EXECUTE ON FUNCTION prepare_load(), load_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prepare_load(), load_events() TO qforge_admin;
