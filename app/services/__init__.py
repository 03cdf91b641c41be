"""The use cases, free of any framework."""
