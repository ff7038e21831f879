"""What commands print: tables, plain text, JSON, progress."""
