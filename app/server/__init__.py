"""The running process.

Begin with `lifespan`: what is started and in which order it shuts down. `signals` hears SIGTERM before the server waits
for open answers, `readiness` says whether requests can be served, `http_protocol` bounds slow and hostile clients.
"""
