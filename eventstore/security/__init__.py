"""Encryption of stored secrets, and hashes of passwords, tokens and keys."""
