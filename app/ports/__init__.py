"""What the use cases need from outside: interfaces that infrastructure implements.

Begin with `unit_of_work`. Each port has a second implementation, in memory, under `tests/fakes`; both pass the same
contract tests.
"""
