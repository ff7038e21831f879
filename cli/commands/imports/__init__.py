"""`qforge import`: events and folders of finished jobs."""
