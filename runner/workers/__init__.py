"""Worker processes: a pool that survives crashes, hangs and kills."""
