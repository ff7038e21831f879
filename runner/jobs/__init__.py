"""Folders of finished jobs, and how what they tell comes into the log."""
