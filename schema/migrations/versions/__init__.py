"""The migrations, in order; each runs the SQL frozen beside it."""
