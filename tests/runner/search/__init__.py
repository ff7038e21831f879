"""Tests of runner/search."""
