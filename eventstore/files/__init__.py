"""Events in files: JSON Lines and Parquet, out of the log and into it."""
