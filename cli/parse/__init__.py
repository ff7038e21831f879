"""How options are written: times, positions, ranges, event types."""
