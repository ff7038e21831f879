"""Following the log: projectors that wait for appends, in a command or a thread."""
