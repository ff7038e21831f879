"""Pages of the dashboard, one module for each: its panels and what its forms do."""
