SET LOCAL check_function_bodies = off;

CREATE TABLE molecule_fingerprints (
    tenant_id uuid NOT NULL,
    molecule_id uuid NOT NULL,
    smiles text NOT NULL,
    pattern_fingerprint bit(2048),
    morgan_fingerprint bit(2048),
    fingerprint_version text,
    morgan_bit_count integer GENERATED ALWAYS AS (bit_count(morgan_fingerprint)::integer) STORED,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_position bigint NOT NULL,
    CONSTRAINT molecule_fingerprints_pkey PRIMARY KEY (tenant_id, molecule_id)
);

CREATE OR REPLACE FUNCTION rows_with_words(relation regclass, searched text, query tsquery)
 RETURNS SETOF tid
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    caller name := coalesce(nullif(current_setting('role'), 'none'), session_user::text);
    words text := format('to_tsvector(''simple''::regconfig, "left"(%I, 50000))', searched);
    owner oid;
    every boolean;
BEGIN
    SELECT c.relowner INTO owner
      FROM pg_class AS c
      JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid
      JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relname = c.relname || '_words_idx'
     CROSS JOIN generate_series(1, i.indnkeyatts) AS n
     WHERE c.oid = relation AND c.relnamespace = 'public'::regnamespace
       AND pg_get_indexdef(i.indexrelid, n, false) = words;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column % of % is not searched by words', searched, relation
              USING ERRCODE = 'undefined_object';
    END IF;
    IF NOT has_column_privilege(caller, relation, searched, 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for column % of %', searched, relation
              USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Whom no policy restricts is not restricted here either.
    SELECT public.acts_for_every_tenant() OR r.rolsuper OR r.rolbypassrls
           OR pg_has_role(caller, owner, 'USAGE')
           OR pg_has_role(caller, 'qforge_projector'::name, 'USAGE')
      INTO every
      FROM pg_roles AS r WHERE r.rolname = caller;
    IF every THEN
        RETURN QUERY EXECUTE format('SELECT ctid FROM %s WHERE %s @@ $1', relation, words) USING query;
    ELSE
        RETURN QUERY EXECUTE format('SELECT ctid FROM %s WHERE %s @@ $1 AND tenant_id = $2', relation, words)
               USING query, public.current_tenant();
    END IF;
END
$function$;

CREATE INDEX batch_item_names_words_idx ON batch_item_names USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)));

CREATE INDEX batch_jobs_words_idx ON batch_jobs USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)));

CREATE INDEX bookmarks_words_idx ON bookmarks USING gin (to_tsvector('simple'::regconfig, "left"(label, 50000)));

CREATE INDEX calculation_errors_words_idx ON calculation_errors USING gin (to_tsvector('simple'::regconfig, "left"(error_message, 50000)), to_tsvector('simple'::regconfig, "left"(stack_trace, 50000)));

CREATE INDEX calculation_execution_metrics_words_idx ON calculation_execution_metrics USING gin (to_tsvector('simple'::regconfig, "left"(stderr_log, 50000)));

CREATE INDEX errors_words_idx ON errors USING gin (to_tsvector('simple'::regconfig, "left"(message, 50000)), to_tsvector('simple'::regconfig, "left"(stack_trace, 50000)));

CREATE INDEX marketplace_listings_words_idx ON marketplace_listings USING gin (to_tsvector('simple'::regconfig, "left"(title, 50000)), to_tsvector('simple'::regconfig, "left"(description, 50000)));

CREATE INDEX molecule_fingerprints_version_idx ON molecule_fingerprints USING btree (tenant_id, fingerprint_version);

CREATE INDEX molecules_words_idx ON molecules USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)));

CREATE INDEX organizations_words_idx ON organizations USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)));

CREATE INDEX projects_words_idx ON projects USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)), to_tsvector('simple'::regconfig, "left"(description, 50000)), to_tsvector('simple'::regconfig, "left"(disease_target, 50000)));

CREATE INDEX quantum_apps_words_idx ON quantum_apps USING gin (to_tsvector('simple'::regconfig, "left"(name, 50000)), to_tsvector('simple'::regconfig, "left"(description, 50000)));

ALTER TABLE molecule_fingerprints ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON molecule_fingerprints FOR SELECT
    USING (tenant_id = (( SELECT current_tenant() AS current_tenant)));

CREATE POLICY every_tenant ON molecule_fingerprints TO qforge_admin, qforge_projector
    USING (true)
    WITH CHECK (true);

REVOKE EXECUTE ON FUNCTION rows_with_words(regclass,text,tsquery) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rows_with_words(regclass,text,tsquery) TO qforge_admin;
GRANT EXECUTE ON FUNCTION rows_with_words(regclass,text,tsquery) TO qforge_auditor;
GRANT EXECUTE ON FUNCTION rows_with_words(regclass,text,tsquery) TO qforge_projector;
GRANT EXECUTE ON FUNCTION rows_with_words(regclass,text,tsquery) TO qforge_reader;
GRANT SELECT ON molecule_fingerprints TO qforge_reader, qforge_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON molecule_fingerprints TO qforge_projector, qforge_admin;

COMMENT ON COLUMN molecule_fingerprints.tenant_id IS
    'Tenant that owns the row: a user''s own space or an organisation';
COMMENT ON COLUMN molecule_fingerprints.molecule_id IS 'Its molecule';
COMMENT ON COLUMN molecule_fingerprints.smiles IS 'Canonical SMILES';
COMMENT ON COLUMN molecule_fingerprints.pattern_fingerprint IS
    'Pattern fingerprint of RDKit, with the bits of each substructure; null until computed';
COMMENT ON COLUMN molecule_fingerprints.morgan_fingerprint IS
    'Morgan fingerprint of radius 2 (Rogers and Hahn, J. Chem. Inf. Model. 50, 742, 2010)';
COMMENT ON COLUMN molecule_fingerprints.fingerprint_version IS
    'Versions of the algorithms of both fingerprints';
COMMENT ON COLUMN molecule_fingerprints.morgan_bit_count IS
    'Number of bits that are set in the Morgan fingerprint';
COMMENT ON COLUMN molecule_fingerprints.created_at IS 'Time of the row''s earliest event';
COMMENT ON COLUMN molecule_fingerprints.updated_at IS 'Time of the row''s latest event';
COMMENT ON COLUMN molecule_fingerprints.last_position IS
    'Position of the last event folded into the row';
COMMENT ON FUNCTION rows_with_words(regclass,text,tsquery) IS
    'Where the rows are whose column, one that an index of words has, matches the query: of the
caller''s tenant, by the index';
COMMENT ON TABLE molecule_fingerprints IS
    'One row per molecule with a SMILES: what searches by structure read';
