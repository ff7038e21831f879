"""The log as a stream of server-sent events."""
