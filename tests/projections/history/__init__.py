"""Tests of projections/history."""
