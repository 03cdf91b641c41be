"""How the service tells how it is: its log, its metrics, its traces."""
