CREATE VIEW append_locks AS
SELECT held.pid, held.floor, held.prepared,
       held.is_append OR held.prepared OR bool_or(held.prepared AND held.is_append) OVER () AS counts
  FROM (SELECT l.pid, l.pid IS NULL AS prepared,
               min(((l.classid::bigint << 32) | l.objid::bigint) - append_lock_key(0))
                   FILTER (WHERE l.locktype = 'advisory') AS floor,
               bool_or(l.locktype = 'relation') AS is_append
          FROM pg_locks AS l
         WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.locktype = 'advisory' AND l.objsubid = 1
                AND l.classid::bigint >> 16 = append_lock_key(0) >> 48
                OR l.locktype = 'relation' AND l.relation = append_evidence())
         GROUP BY l.pid, l.virtualtransaction) AS held;

COMMENT ON VIEW append_locks IS
    'Transactions with a lock whose key is a floor of appends, or that append. counts: whether
safe_head heeds the floor. A session that does not append holds no lock on append_evidence(), and is
passed over. Locks of prepared transactions count, and while an append is prepared, so do all: its
locks are moved from the session one by one';

GRANT SELECT ON append_locks TO qforge_reader, qforge_auditor, qforge_projector, qforge_admin;
