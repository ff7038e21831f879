"""Tests of projections/follow."""
