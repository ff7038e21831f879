"""Tests of eventstore/files."""
