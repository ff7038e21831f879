"""Tests of eventstore/spool."""
