"""Examination of an installation: one finding per check, each with its remedy."""
