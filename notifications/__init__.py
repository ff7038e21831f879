"""Notifications: what users asked to be told of, found in the log and sent by mail and webhook."""
