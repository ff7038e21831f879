"""Training sets: what leaves the system for machine learning, and how it is found again."""
