"""How each table follows from the log, by domain."""
