"""The REST dialect: grammar of requests, statements, replies; without a server."""
