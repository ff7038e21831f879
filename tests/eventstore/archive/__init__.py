"""Tests of eventstore/archive."""
