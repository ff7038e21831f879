"""The connection to PostgreSQL: settings, addresses, engine, tenants."""
