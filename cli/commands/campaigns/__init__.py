"""`qforge run`, `retry` and `properties`: computing, with worker processes."""
