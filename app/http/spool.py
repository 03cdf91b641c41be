"""What clients have not taken yet of large answers, in temporary files: there it takes no memory."""

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from app.shares import Share

_SHARE_OF_ONE = 4
_FILE_BYTES = 16 * 1024 * 1024

_Result = TypeVar("_Result")


class _File(NamedTuple):
    descriptor: int
    size: int


class Spool:
    """Temporary files of at most `max_bytes` together, of which one client or account may have a quarter.

    They are in `folder` if there is one, else in the system's folder for temporary files, and have no name: they are
    gone when the process ends in any way.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.share = Share("bytes of spooled answers", per_key=max_bytes // _SHARE_OF_ONE, total=max_bytes)
        self._folder = folder

    def open(self, key: Hashable) -> "Spooled":
        """Return an empty queue of bytes, to be closed."""
        return Spooled(self.share, key, self._folder)


class Spooled:
    """One answer's bytes in files: written at the end and read from the beginning, also at the same time.

    A file that has been read is removed. `unread` is how many bytes are still to be read.
    """

    def __init__(self, share: Share, key: Hashable, folder: Path) -> None:
        self.unread = 0
        self._share = share
        self._key = key
        self._folder = folder
        self._files = deque[_File]()
        # Where the last file is written, and where the first is read.
        self._written = self._read = 0
        self._calls = self._held = 0
        self._is_closed = False

    async def write(self, data: bytes) -> bool:
        """Append the bytes, and return whether there was room."""
        if self._is_closed or not self._share.has_room(self._key, len(data)):
            return False
        self._share.take(self._key, len(data))
        self._held += len(data)
        try:
            if not self._files or self._written >= _FILE_BYTES:
                self._files.append(_File(self._create(), 0))
                self._written = 0
            descriptor, size = self._files[-1]
            await self._in_thread(_write, descriptor, data, self._written)
        except OSError:
            # The disk is full, say. What was written beyond the end is never read.
            self._give_back(len(data))
            return False
        self._files[-1] = _File(descriptor, size + len(data))
        self._written += len(data)
        self.unread += len(data)
        return True

    async def read(self, size: int) -> bytes:
        """Remove at most `size` bytes from the beginning, and return them.

        Raises:
            OSError: They can't be read.
        """
        first = self._files[0]
        data: bytes = await self._in_thread(os.pread, first.descriptor, min(size, first.size - self._read), self._read)
        if not data:
            raise OSError("a temporary file is shorter than it was")
        self._read += len(data)
        self.unread -= len(data)
        if self._read == self._files[0].size and (len(self._files) > 1 or self._written >= _FILE_BYTES):
            self._remove_first()
        return data

    def close(self) -> None:
        """Remove what is left, as soon as no thread works on it."""
        self._is_closed = True
        if not self._calls:
            self._release()

    def _release(self) -> None:
        self.unread = 0
        while self._files:
            self._remove_first()
        self._give_back(self._held)

    def _give_back(self, amount: int) -> None:
        self._held -= amount
        self._share.give_back(self._key, amount)

    def _remove_first(self) -> None:
        first = self._files.popleft()
        self._read = 0
        with suppress(OSError):
            os.close(first.descriptor)
        self._give_back(first.size)

    def _create(self) -> int:
        with tempfile.TemporaryFile(dir=self._folder if self._folder.is_dir() else None) as file:
            return os.dup(file.fileno())

    async def _in_thread(self, function: Callable[..., _Result], *args: Any) -> _Result:
        """Call the function in a thread. If the caller is cancelled, the files stay open until the call has ended."""
        call = asyncio.get_running_loop().run_in_executor(None, function, *args)
        self._calls += 1
        call.add_done_callback(self._on_called)
        return await asyncio.shield(call)

    def _on_called(self, call: asyncio.Future[Any]) -> None:
        if not call.cancelled():
            call.exception()
        self._calls -= 1
        if self._is_closed and not self._calls:
            self._release()


def _write(descriptor: int, data: bytes, position: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written
