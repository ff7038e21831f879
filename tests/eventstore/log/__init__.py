"""Tests of eventstore/log."""
