-- PostgreSQL lets everybody call a new function. Nobody but these roles calls one of the log, and
-- what only other functions call, nobody but the owner.
REVOKE EXECUTE ON FUNCTION
    current_tenant(), acts_for_every_tenant(), append_lock_key(bigint),
    last_assigned_position(), append_evidence(), safe_head(), event_partitions(),
    merge_payloads(jsonb), upcast_payload(jsonb, jsonb), merge_tallies(jsonb, jsonb), short_facts(jsonb),
    count_visible_events(timestamptz), count_visible_events_by_type(), count_visible_rows(regclass),
    rows_with_words(regclass, text, tsquery),
    refuse_change(), revoke_default_rights(regclass), is_storable(jsonb, jsonb, timestamptz),
    refuse_reused_event_id(uuid), refuse_incomplete_event(), refuse_long_name(uuid, text, text),
    refuse_version(uuid, text, uuid, integer, integer), refuse_tenant(uuid),
    entity_type_of(text), may_append(text, text), refuse_event_type(text, text),
    refuse_unstorable(uuid, text, jsonb, jsonb, timestamptz)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    current_tenant(), acts_for_every_tenant(), append_lock_key(bigint)
  TO qforge_admin, qforge_appender, qforge_auditor, qforge_projector, qforge_reader, qforge_worker;
GRANT EXECUTE ON FUNCTION
    last_assigned_position(), safe_head(), event_partitions(),
    merge_payloads(jsonb), upcast_payload(jsonb, jsonb), merge_tallies(jsonb, jsonb), short_facts(jsonb),
    count_visible_events(timestamptz), count_visible_events_by_type(), count_visible_rows(regclass),
    rows_with_words(regclass, text, tsquery)
  TO qforge_admin, qforge_auditor, qforge_projector, qforge_reader;
-- Who appends asks it for the session that holds a stream.
GRANT EXECUTE ON FUNCTION append_evidence()
  TO qforge_admin, qforge_auditor, qforge_projector, qforge_reader, qforge_appender, qforge_worker;
