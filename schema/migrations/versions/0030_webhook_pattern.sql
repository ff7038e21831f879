ALTER TABLE user_preferences DROP CONSTRAINT slack_webhook_url_is_encrypted;

ALTER TABLE user_preferences ADD CONSTRAINT slack_webhook_url_is_encrypted CHECK (slack_webhook_url ~~ 'gAAAA%'::text);
