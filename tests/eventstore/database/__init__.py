"""Tests of eventstore/database."""
