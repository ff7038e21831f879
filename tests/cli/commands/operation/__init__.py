"""Tests of cli/commands/operation."""
