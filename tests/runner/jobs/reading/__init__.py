"""Tests of runner/jobs/reading."""
