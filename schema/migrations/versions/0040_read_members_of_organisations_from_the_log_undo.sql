SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION person_of_login(tenant uuid, claimed uuid)
 RETURNS TABLE(login text, administers boolean, audits boolean, works boolean, has_users boolean, linked_user uuid, acting_user uuid, username text, state text, user_role text, member_roles text[])
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    caller name := coalesce(nullif(current_setting('role'), 'none'), session_user::text);
BEGIN
    login := session_user;
    administers := acts_for_every_tenant() OR pg_has_role(
        caller, (SELECT relowner FROM pg_class WHERE oid = 'event_logs'::regclass), 'USAGE');
    audits := pg_has_role(caller, 'qforge_auditor'::name, 'USAGE');
    works := pg_has_role(caller, 'qforge_worker'::name, 'USAGE');
    IF NOT administers THEN
        tenant := current_tenant();
    END IF;
    has_users := EXISTS (SELECT FROM event_streams AS head
                          WHERE head.tenant_id = tenant AND head.entity_type = 'user');
    -- From the log, whose tables may be behind: who was shut out is out at once.
    SELECT (latest.data ->> 'user_id')::uuid INTO linked_user
      FROM event_streams AS head
     CROSS JOIN LATERAL (SELECT l.event_type, l.data FROM event_logs AS l
                          WHERE l.entity_id = head.entity_id AND l.tenant_id = head.tenant_id
                            AND l.entity_type = head.entity_type AND l.id >= head.first_position
                          ORDER BY l.version DESC LIMIT 1) AS latest
     WHERE head.tenant_id = tenant AND head.entity_type = 'database_login'
       AND latest.event_type = 'login_linked' AND latest.data ->> 'login' = session_user;
    acting_user := CASE WHEN administers THEN coalesce(claimed, linked_user) ELSE linked_user END;
    SELECT (SELECT l.data ->> 'username' FROM event_logs AS l
             WHERE l.entity_id = head.entity_id AND l.tenant_id = head.tenant_id
               AND l.entity_type = head.entity_type AND l.id >= head.first_position
               AND l.data ? 'username'
             ORDER BY l.version DESC LIMIT 1),
           (SELECT CASE l.event_type WHEN 'user_deactivated' THEN 'inactive' ELSE 'active' END
              FROM event_logs AS l
             WHERE l.entity_id = head.entity_id AND l.tenant_id = head.tenant_id
               AND l.entity_type = head.entity_type AND l.id >= head.first_position
               AND l.event_type || '' IN ('user_registered', 'user_deactivated', 'user_reactivated')
             ORDER BY l.version DESC LIMIT 1),
           (SELECT coalesce(l.data ->> 'role', 'researcher') FROM event_logs AS l
             WHERE l.entity_id = head.entity_id AND l.tenant_id = head.tenant_id
               AND l.entity_type = head.entity_type AND l.id >= head.first_position
               AND l.event_type || '' IN ('user_registered', 'user_role_changed')
             ORDER BY l.version DESC LIMIT 1)
      INTO username, state, user_role
      FROM event_streams AS head
     WHERE head.tenant_id = tenant AND head.entity_type = 'user' AND head.entity_id = acting_user;
    SELECT coalesce(array_agg(m.role), '{}') INTO member_roles
      FROM organization_members AS m
     WHERE m.tenant_id = tenant AND m.user_id = acting_user AND m.left_at IS NULL;
    RETURN NEXT;
END
$function$;
