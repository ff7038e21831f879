"""What a request asks for: its query string and headers, parsed; without a database."""
