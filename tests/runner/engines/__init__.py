"""Tests of runner/engines."""
