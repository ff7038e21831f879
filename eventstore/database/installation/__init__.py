"""What `qforge db upgrade` installs: migrations, tables of own domains, roles."""
