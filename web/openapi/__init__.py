"""The server described in OpenAPI 3.1, made from the declarations."""
