DROP TABLE activity_logs;

DELETE FROM projection_checkpoints WHERE projection = 'activity_logs';

DELETE FROM projection_dead_letters WHERE projection = 'activity_logs';

DELETE FROM projection_copies WHERE projection = 'activity_logs';

DROP TABLE IF EXISTS qforge_shadow.activity_logs, qforge_kept.activity_logs;

CREATE VIEW activity_logs WITH (security_invoker=true) AS
 SELECT tenant_id,
    id,
    user_id,
    event_type AS action,
    entity_type,
    entity_id,
    short_facts(data - ARRAY['hashed_password'::text, 'key_hash'::text, 'slack_webhook_url'::text, 'token_hash'::text, 'totp_secret'::text]) AS details,
    occurred_at AS created_at
   FROM event_logs l
  WHERE user_id IS NOT NULL;

GRANT SELECT ON activity_logs TO qforge_admin;
GRANT SELECT ON activity_logs TO qforge_auditor;
GRANT SELECT ON activity_logs TO qforge_projector;

COMMENT ON VIEW activity_logs IS
    'One row per event that a user caused, read from the log itself. id: position of the event.
action: its type. details: its short facts: no lists, no objects, no secrets, texts cut to 200
characters. created_at: when it occurred';
