"""Domain events: their types, the in-process bus, and the relay.

Begin with `types`, then `bus`, whose listeners run before a write is acknowledged. `relay` delivers stored events to
durable listeners, at least once; events of accounts are not stored. `wakeups` wakes feeds in this process, `emitter`
serves Litestar's `@listener`.
Nothing here imports the project's other packages: listeners are given what they need.
"""
