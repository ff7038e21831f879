"""Read models as folds of the log: compiler, projector, rebuild, history, queries, operation."""
