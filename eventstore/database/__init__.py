"""The connection to PostgreSQL: settings, engine, migrations, roles, tenants, failures."""
