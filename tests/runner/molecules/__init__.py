"""Tests of runner/molecules."""
