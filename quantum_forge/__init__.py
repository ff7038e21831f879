"""Event store for computational chemistry: the installed package, with a link to each room."""
