DROP FUNCTION person_of_login(uuid,uuid);

DROP TABLE user_logins;

DELETE FROM projection_checkpoints WHERE projection = 'user_logins';
