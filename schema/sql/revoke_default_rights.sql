CREATE FUNCTION revoke_default_rights(relation regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                             ELSE quote_ident(pg_get_userbyid(a.grantee)) END
          FROM pg_class AS c, aclexplode(c.relacl) AS a
         WHERE c.oid = relation AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', relation, grantee);
    END LOOP;
END
$$;

COMMENT ON FUNCTION revoke_default_rights(regclass) IS
    'Leave a new table to its owner alone, whatever ALTER DEFAULT PRIVILEGES grants to others';
