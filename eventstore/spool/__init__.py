"""The spool: a local file of appends that the database has yet to take."""
