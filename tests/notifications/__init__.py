"""Tests of notifications, against a real SMTP server and a receiver of webhooks on this machine."""
