"""Tests of the dashboard: its pages by HTTP, and in a real browser."""
