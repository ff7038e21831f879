"""Measurements of this store against its limits and peers, in one run on one server."""
