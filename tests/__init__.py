"""Tests against real PostgreSQL, each in a database of its own."""
