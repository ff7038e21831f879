"""Recorders by domain: what they record, in the words of that domain."""
