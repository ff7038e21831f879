"""Commands on read models: project, rebuild, verify, the past, retention, dead letters."""
