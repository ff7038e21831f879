"""Tests of projections/compiler."""
