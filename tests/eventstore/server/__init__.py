"""Tests of eventstore/server."""
