"""Actions that decide what is recorded: accounts, keys, sessions, cascades, retractions."""
