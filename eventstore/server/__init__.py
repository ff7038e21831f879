"""The embedded PostgreSQL server: made, started, shared and stopped."""
