"""The qforge command line."""
