"""Comparison of two databases' schemas, and the SQL that makes one into the other."""
