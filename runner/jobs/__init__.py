"""Folders of finished jobs, and their import into the log."""
