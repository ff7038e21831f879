"""Tests of runner/workers."""
