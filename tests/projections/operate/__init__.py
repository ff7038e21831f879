"""Tests of projections/operate."""
