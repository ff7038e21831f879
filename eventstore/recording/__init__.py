"""Recording on behalf of an author: the recorder, lifecycle rules, decisions."""
