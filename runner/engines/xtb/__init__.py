"""The xtb program: what it writes, read back, and how it is run."""
