"""Tests of cli/commands/projections."""
