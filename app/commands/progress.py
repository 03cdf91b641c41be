"""Progress of commands that take long, for a person at a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import click

_INTERVAL_SECONDS = 0.5
_BAR_CELLS = 30
_ERASE_LINE = "\r\x1b[K"


@contextmanager
def showing_progress(describe: Callable[[], str]) -> Iterator[None]:
    """Show on the standard error stream twice a second how far it is, in one line; nothing if that is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    done = Event()

    def show() -> None:
        while not done.wait(_INTERVAL_SECONDS):
            click.echo(f"{_ERASE_LINE}{describe()}", nl=False, err=True)

    # The work may be one call of a library, which does not return meanwhile.
    thread = Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        click.echo(_ERASE_LINE, nl=False, err=True)


def bar(done: int, total: int | None, unit: str) -> str:
    """Return one line that shows how much is done, as a bar if it is known how much there is."""
    if not total:
        return f"{done:,} {unit}"
    filled = _BAR_CELLS * done // total
    return f"[{'#' * filled}{'-' * (_BAR_CELLS - filled)}] {100 * done // total} %, {done:,} of {total:,} {unit}"
