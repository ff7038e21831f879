DROP INDEX quantum_apps_words_idx;

DROP INDEX projects_words_idx;

DROP INDEX organizations_words_idx;

DROP INDEX molecules_words_idx;

DROP INDEX marketplace_listings_words_idx;

DROP INDEX errors_words_idx;

DROP INDEX calculation_execution_metrics_words_idx;

DROP INDEX calculation_errors_words_idx;

DROP INDEX bookmarks_words_idx;

DROP INDEX batch_jobs_words_idx;

DROP INDEX batch_item_names_words_idx;

DROP FUNCTION rows_with_words(regclass,text,tsquery);

DROP TABLE molecule_fingerprints;

DELETE FROM projection_checkpoints WHERE projection = 'molecule_fingerprints';
