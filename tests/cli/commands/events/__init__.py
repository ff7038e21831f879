"""Tests of cli/commands/events."""
