"""Parsing of options: times, positions, ranges, event types."""
