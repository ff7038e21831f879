"""Tests of cli/commands/campaigns."""
