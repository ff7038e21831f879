"""Campaigns: the molecules of a file calculated, recorded and tried again."""
