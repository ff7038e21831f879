"""Tests of runner/campaign."""
