COMMENT ON COLUMN molecules.completed_calculation_count IS
    'Number of completions of its calculations';
COMMENT ON COLUMN batch_job_performance.invalidated_jobs IS
    'Results that were invalidated by a physical check or a person';
