CREATE VIEW activity_logs WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id, l.user_id, l.event_type AS action, l.entity_type, l.entity_id,
       -- Without what became of secrets: an address of a webhook is one, too.
       short_facts(l.data - ARRAY['hashed_password', 'key_hash', 'slack_webhook_url', 'token_hash',
                                  'totp_secret']) AS details,
       l.occurred_at AS created_at
  FROM event_logs AS l
 WHERE l.user_id IS NOT NULL;

COMMENT ON VIEW activity_logs IS
    'One row per event that a user caused, read from the log itself. id: position of the event.
action: its type. details: its short facts: no lists, no objects, no secrets, texts cut to 200
characters. created_at: when it occurred';

GRANT SELECT ON activity_logs TO qforge_admin, qforge_auditor, qforge_projector;
