ALTER TABLE batch_jobs ADD COLUMN project_id uuid;

ALTER TABLE calculations ADD COLUMN conformer_seed bigint;

CREATE INDEX batch_jobs_created_idx ON batch_jobs USING btree (tenant_id, created_at);

CREATE INDEX batch_jobs_project_idx ON batch_jobs USING btree (tenant_id, project_id) WHERE project_id IS NOT NULL;

CREATE INDEX batch_jobs_user_idx ON batch_jobs USING btree (tenant_id, user_id, created_at);

CREATE INDEX calculations_user_idx ON calculations USING btree (tenant_id, user_id, started_at) WHERE user_id IS NOT NULL;

CREATE INDEX molecules_formula_idx ON molecules USING hash (formula);

CREATE INDEX molecules_user_idx ON molecules USING btree (tenant_id, user_id, created_at) WHERE user_id IS NOT NULL;

COMMENT ON COLUMN calculations.conformer_seed IS
    'Seed of the generated structure, where another than the usual was asked for';
COMMENT ON COLUMN batch_jobs.project_id IS 'Project that its molecules joined, if any';
