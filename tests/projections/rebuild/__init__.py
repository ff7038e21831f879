"""Tests of projections/rebuild."""
