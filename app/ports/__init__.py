"""What the use cases ask of the outside: interfaces that infrastructure fills in."""
