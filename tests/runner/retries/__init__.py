"""Tests of runner/retries."""
