"""Operation of read models: checks, retention, metrics, dead letters, the catalogue."""
