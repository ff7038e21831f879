"""OpenAPI 3.1 of the server, from the declarations."""
