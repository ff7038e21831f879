"""Retries of failed calculations: which, when, how often."""
