"""How fast the service is, against what it could be and what people use instead."""
