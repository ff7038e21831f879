"""Tests of cli/commands/queries."""
