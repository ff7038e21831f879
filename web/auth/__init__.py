"""Who sends a request: API keys, JSON Web Tokens, sessions, and the roles they act by."""
