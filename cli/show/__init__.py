"""Output of commands: tables, plain text, JSON, progress."""
