"""Notifications of users by mail and webhook, about events of the kinds that they chose."""
