"""Read models as folds of the log: declaration, compiler, reference, projector, rebuild."""
