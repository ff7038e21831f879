"""The words that declare a domain: event, lifecycle, table, fold, value, projection."""
