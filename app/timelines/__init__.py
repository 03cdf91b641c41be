"""Who knows the current version of a user's timeline: the port `app.ports.timelines`, in two sizes.

`memory` answers on SQLite, which has one process; it hears of each change over the event bus, and through
`other_processes` of what an operator's command commits beside it. `database` answers on
MySQL and MariaDB, for any number of processes: one primary-key statement that concurrent requests share. A stale cache
entry is prevented here: lists are cached under the version that these answer.
"""
