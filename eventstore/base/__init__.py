"""Errors, ids, payload encoding and the event envelope: used by every other room."""
