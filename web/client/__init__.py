"""Clients of a served store, for programs that reach it by HTTPS alone."""
