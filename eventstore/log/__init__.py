"""The log: append, group commit, read, subscribe, bulk loading, partitions."""
