"""Writing by recording: the events of inserts, updates and deletes, and the rows after them."""
