"""Commands for operators: status, doctor, server, completion."""
