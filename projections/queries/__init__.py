"""Queries of read models and of the log, served by indexes."""
