"""The log: append, read, safe head; settings, database and embedded server."""
