"""Projecting: folding new events into tables, batch by batch, with checkpoints."""
