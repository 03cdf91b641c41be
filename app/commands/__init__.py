"""What the command line offers besides Litestar's own commands."""
