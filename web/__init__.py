"""The store over HTTP: the REST dialect that existing clients speak."""
