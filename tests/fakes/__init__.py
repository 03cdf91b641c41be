"""The ports of `app.ports`, implemented in memory, for tests of the use cases.

Begin with `database`: what is committed. `transactions` writes to it, `queries` and `timelines` read from it,
`security` has the rest. The contract tests in `tests/contracts` hold these and the real implementations to the same
promises.
"""
