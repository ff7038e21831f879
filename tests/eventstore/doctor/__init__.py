"""Tests of eventstore/doctor."""
