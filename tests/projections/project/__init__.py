"""Tests of projections/project."""
