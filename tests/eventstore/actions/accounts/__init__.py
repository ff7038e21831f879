"""Tests of eventstore/actions/accounts."""
