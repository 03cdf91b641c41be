"""The use cases, one module a noun. They know no framework and no SQL.

Begin with `posts`. A use case is a function of a unit of work (`app.ports.unit_of_work`), which `Transactions.run`
calls.
"""
