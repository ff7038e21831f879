COMMENT ON COLUMN molecules.completed_calculation_count IS
    'Number of times that one of its calculations got a result: completed, or restored after a retraction';
COMMENT ON COLUMN batch_job_performance.invalidated_jobs IS
    'Results that were invalidated by a physical check or a person, also if restored later';
