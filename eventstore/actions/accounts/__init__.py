"""Actions on accounts: users, their sessions, API keys and names, organizations, authorization."""
