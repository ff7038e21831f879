"""Tests of eventstore/base."""
