"""Tests of the REST dialect."""
