"""`qforge db`: migrate, inspect, back up and reset the database."""
