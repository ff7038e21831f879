"""Test support: servers, histories, payloads, worker functions."""
