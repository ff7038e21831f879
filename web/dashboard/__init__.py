"""The store in a browser: pages rendered by the server, of panels that stay current."""
