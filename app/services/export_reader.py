"""Reads an export as it arrives, line by line, and checks it."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from pydantic import ValidationError

from app.errors import InvalidImport
from models import EXPORT_FORMAT, ExportEnd, PostImport

_MIB = 1_048_576
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What Python takes for a post besides its text.
_POST_OVERHEAD_BYTES = 500

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True)
class ImportPolicy:
    """How much of an import is held at once: so many posts, so many bytes of them (or one larger post), and one line.

    The longest line has a text that fills the body of a `POST /posts`, and 1 KiB for what stands around it.
    """

    batch_posts: int = 500
    batch_bytes: int = 2 * _MIB
    line_bytes: int = _MIB + 1024


class ExportReader:
    """Reads the posts of one export, a batch at a time, and checks that it is whole.

    Lines that are no posts are checked to be lines of an export, and skipped. An export that names no format is of an
    earlier version of the service, or was written by hand: its end is not checked, for it has none.
    """

    def __init__(self, policy: ImportPolicy) -> None:
        self._policy = policy
        self._number = 0
        self._counted = 0
        self._digest = sha256()
        self._has_format = False
        self._is_ended = False

    async def batches(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[PostImport]]:
        """Yield the posts in order. The last batch may be empty, and is not yielded before the end was checked.

        Raises:
            InvalidImport: A line is no line of an export, or the export is cut or was changed.
        """
        batch, size = list[PostImport](), 0
        async for line in self._lines(chunks):
            post = self._read(line)
            if post is None:
                continue
            batch.append(post)
            size += len(line) + _POST_OVERHEAD_BYTES
            if len(batch) >= self._policy.batch_posts or size >= self._policy.batch_bytes:
                yield batch
                batch, size = [], 0
        if self._has_format and not self._is_ended:
            raise self._bad("the last line of the export is missing, so it was cut")
        yield batch

    async def _lines(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        # Only what is new is searched, so that a line which arrives byte by byte costs no more than another.
        line = bytearray()
        async for chunk in chunks:
            begin = 0
            while (end := chunk.find(b"\n", begin)) >= 0:
                line += chunk[begin:end]
                yield self._next(line)
                line.clear()
                begin = end + 1
            line += chunk[begin:]
            if len(line) > self._policy.line_bytes:
                self._next(line)
        if line:
            yield self._next(line)

    def _next(self, line: bytearray) -> bytes:
        """Count a line, and return it without what editors and file transfers may add."""
        self._number += 1
        if len(line) > self._policy.line_bytes:
            raise self._bad(f"it is longer than {self._policy.line_bytes:,} bytes")
        stripped = bytes(line).rstrip(b" \t\r")
        return stripped.removeprefix(_BYTE_ORDER_MARK) if self._number == 1 else stripped

    def _read(self, line: bytes) -> PostImport | None:
        """Return the post on this line, or `None` if there is none."""
        if not line:
            return None
        if self._is_ended:
            raise self._bad("it follows the end of the export")
        try:
            members = _decode_members(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._bad("it is not a JSON object in UTF-8") from None
        if members.keys() == {"end"}:
            self._check_end(members["end"])
            return None
        self._counted += 1
        self._digest.update(line + b"\n")
        if "postID" in members:
            return self._post(line)
        if "format" in members:
            self._check_format(members["format"])
        elif "user_id" not in members and not _names_a_kind(members):
            raise self._bad("it is no line of an export")
        return None

    def _post(self, line: bytes) -> PostImport:
        try:
            return PostImport.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            raise self._bad(f"{field}: {message}" if field else message) from None

    def _check_format(self, member: msgspec.Raw) -> None:
        if self._counted > 1:
            raise self._bad("another export begins")
        if bytes(member) != msgspec.json.encode(EXPORT_FORMAT):
            raise self._bad(f"the format is not {EXPORT_FORMAT}")
        self._has_format = True

    def _check_end(self, member: msgspec.Raw) -> None:
        try:
            end = ExportEnd.model_validate_json(bytes(member))
        except ValidationError:
            raise self._bad("it is not the end of an export") from None
        if end.lines != self._counted:
            raise self._bad(f"the export has {end.lines} lines before this one, but {self._counted} came")
        if end.sha256 != self._digest.hexdigest():
            raise self._bad("the lines before this one are not those that were exported: their hash differs")
        self._is_ended = True

    def _bad(self, reason: str) -> InvalidImport:
        return InvalidImport(self._number, reason)


def _names_a_kind(members: dict[str, msgspec.Raw]) -> bool:
    """Return whether it is a line such as `{"session": {…}}`, of this version's kinds or a later one's."""
    return len(members) == 1 and all(bytes(member).startswith(b"{") for member in members.values())
