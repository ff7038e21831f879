"""Statements of requests: tables that can be read, relations between them, SQLAlchemy Core."""
