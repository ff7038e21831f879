"""Availability of the server: temporary failures, back-off, deadlines, standby servers, clock."""
