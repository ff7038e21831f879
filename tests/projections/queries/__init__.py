"""Tests of projections/queries."""
