"""The commands that Litestar's CLI gets from this service, one module a group.

Add one as a `CLIPlugin` like `events`, and name it among the plugins in `app.application`.
"""
