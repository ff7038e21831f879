"""Tests of eventstore/recording."""
