"""Event types, tables, SQL functions, policies and migrations: what exists."""
