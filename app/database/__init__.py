"""Connections to the database, and the schema.

Begin with `engines`: connection pools by purpose. `mysql_driver` and `sqlite_driver` adapt the drivers, `driver_pool`
runs statements straight through the driver of MySQL, and `server_settings` checks its server. `sqlite_lock` keeps a
file to one process, `sqlite_file` and `file_watcher` notice when it is taken away. `sqlite_memory` is a database
without a file, and `sqlite_copy` copies an owner's rows out of it. `schema` migrates, with the `revisions` that Alembic
knows; `backup` copies. `faults` names what can go wrong for code that does not know SQLAlchemy. `redis_connection` is
the optional Redis, which nothing depends on.
"""
