"""Tests of eventstore/actions."""
