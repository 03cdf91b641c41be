"""Postline: a service that keeps each user's posts.

Begin with `service`, which puts every part together, and `application`, which puts HTTP around it. Then follow one
post: `controllers.posts` → `services.posts` → `storage.unit_of_work` → `events.bus`.

Each package imports only those below it, and a linter holds that:

- `commands`, `server`, `telemetry`: how the service is started, served and observed
- `services`: the use cases, free of frameworks and SQL
- `auth`, `http`, `delivery`: who asks, how HTTP is spoken, how others hear of changes
- `storage`, `timelines`: what is written and read, and at which version a user's timeline is
- `database`: connections, drivers, schema
- `ports`: what the use cases need, as interfaces
"""

import atexit
import gc

__version__ = "0.1.0"

# What modules define stays until the end. To look for garbage among it, at every few hundred definitions and once more
# at exit, nearly doubles the time of a command. Once all is loaded, `application` turns the collector on again.
gc.disable()
atexit.register(gc.freeze)
