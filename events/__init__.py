"""What happened, and who is told: event types and the in-process bus.

Nothing here imports the project's other packages; a listener gets what it needs handed in.
"""
