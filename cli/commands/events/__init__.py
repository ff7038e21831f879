"""`qforge events`: list, append and export."""
