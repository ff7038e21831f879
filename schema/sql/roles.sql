-- What may be done is granted to these; a login is made a member of one. They belong to the whole
-- server, so another database may have made them already, and going down leaves them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['qforge_appender', 'qforge_worker', 'qforge_projector',
                                'qforge_reader', 'qforge_auditor', 'qforge_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- another database's migration made it at the same moment
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % is missing and may not be made by %', name, session_user
                        USING ERRCODE = 'QF006',
                              HINT = 'Let an administrator run what `qforge db roles --sql` prints.';
            END;
        END IF;
    END LOOP;
END
$$;
