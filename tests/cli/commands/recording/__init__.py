"""Tests of cli/commands/recording."""
