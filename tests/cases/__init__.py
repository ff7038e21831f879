"""Inputs from public bug reports, one folder each, with the right result in its `check.py`."""
