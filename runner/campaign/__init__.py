"""Campaigns: the molecules of a file calculated and recorded."""
