"""How HTTP is spoken, on every route."""
