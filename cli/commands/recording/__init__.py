"""Commands that record by hand: events, retractions, users, the spool."""
