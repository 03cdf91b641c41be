"""The use cases, free of any framework: each one request, one transaction."""
