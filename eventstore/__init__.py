"""The log, and what it needs to append, read, record and spool events."""
