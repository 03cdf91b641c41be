"""Doing again what the database has undone in favour of someone else."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from app.errors import Deadlocked

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_REPETITIONS = 2


def repeats_when_deadlocked(
    use_case: Callable[_Arguments, Coroutine[Any, Any, _Result]],
) -> Callable[_Arguments, Coroutine[Any, Any, _Result]]:
    """Carry out a use case of one transaction up to twice more where that was undone by a deadlock.

    The third time, `Deadlocked` is raised.
    """

    @wraps(use_case)
    async def repeated(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        for _ in range(_REPETITIONS):
            with suppress(Deadlocked):
                return await use_case(*args, **options)
        return await use_case(*args, **options)

    return repeated
