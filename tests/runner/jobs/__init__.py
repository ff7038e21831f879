"""Tests of runner/jobs."""
