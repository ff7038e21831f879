"""Tests of eventstore/database/availability."""
