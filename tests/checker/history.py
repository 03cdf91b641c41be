"""What people were told, and whether it can be true."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Write:
    """One change. It was acknowledged at `ended`, or nobody knows what became of it. Times are monotonic seconds."""

    kind: Literal["create", "update", "delete"]
    began: float
    post_id: str = ""
    post_version: int = 0
    ended: float | None = None


@dataclass
class Read:
    """One list: the timeline's version that it names, and each post's own version."""

    began: float
    ended: float
    version: int
    posts: list[tuple[str, int]]


@dataclass
class History:
    """One person's notes; `followed` and `delivered` are the versions that a feed and a durable listener were given.

    `copy` is what a device has that only asks for changes, each post with its version, up to `copied_to`.
    """

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    followed: list[int] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    copy: dict[str, int] = field(default_factory=dict)
    copied_to: int = 0
    surprises: list[str] = field(default_factory=list)

    @property
    def final(self) -> Read:
        return self.reads[-1]


def violations(history: History) -> list[str]:
    """Return what in the history breaks a promise; the last read must have begun when everything was over."""
    return [
        *history.surprises,
        *_stale_reads(history),
        *_reads_that_go_back(history),
        *_repeated_posts(history),
        *_wrong_versions(history),
        *_wrong_copy(history),
    ]


def _stale_reads(history: History) -> Iterator[str]:
    """Every list that began after a write was acknowledged shows it, unless a later write may have undone it."""
    deletions = {write.post_id: write for write in history.writes if write.kind == "delete"}
    acknowledged = [write for write in history.writes if write.ended is not None]
    for read in history.reads:
        shown = dict(read.posts)
        for write in acknowledged:
            if write.ended is None or write.ended >= read.began:
                continue
            deletion = deletions.get(write.post_id)
            if write.kind == "delete":
                if write.post_id in shown:
                    yield f"the list at {read.version} shows {write.post_id}, which was deleted before"
            elif deletion is None or deletion.began > read.ended:
                if write.post_id not in shown:
                    yield f"the list at {read.version} lacks {write.post_id}, which was acknowledged before"
                elif shown[write.post_id] < write.post_version:
                    yield f"the list at {read.version} shows {write.post_id} as it was before an acknowledged edit"


def _reads_that_go_back(history: History) -> Iterator[str]:
    by_end = sorted(history.reads, key=lambda read: read.ended)
    by_begin = sorted(history.reads, key=lambda read: read.began)
    newest, ended = 0, 0
    for read in by_begin:
        while ended < len(by_end) and by_end[ended].ended < read.began:
            newest = max(newest, by_end[ended].version)
            ended += 1
        if read.version < newest:
            yield f"a list at {read.version} followed one at {newest}"


def _repeated_posts(history: History) -> Iterator[str]:
    for read in history.reads:
        for post_id, count in Counter(post_id for post_id, _ in read.posts).items():
            if count > 1:
                yield f"the list at {read.version} shows {post_id} {count} times"
    created = {write.post_id for write in history.writes if write.kind == "create" and write.post_id}
    # Each request was repeated until it was answered, so every post there is was acknowledged.
    for post_id, _ in history.final.posts:
        if post_id not in created:
            yield f"{post_id} was never acknowledged, so it is there twice"


def _wrong_versions(history: History) -> Iterator[str]:
    expected = list(range(1, history.final.version + 1))
    if history.followed != expected:
        yield f"the feed told {_difference(history.followed, expected)}"
    if list(dict.fromkeys(history.delivered)) != expected:
        yield f"the durable listener took {_difference(list(dict.fromkeys(history.delivered)), expected)}"


def _wrong_copy(history: History) -> Iterator[str]:
    shown = dict(history.final.posts)
    if history.copied_to != history.final.version:
        yield f"the changes told up to {history.copied_to}, and the list is at {history.final.version}"
    for post_id in sorted(shown.keys() | history.copy.keys()):
        if shown.get(post_id) != history.copy.get(post_id):
            yield f"the copy has {post_id} at {history.copy.get(post_id)}, and the list at {shown.get(post_id)}"


def _difference(found: list[int], expected: list[int]) -> str:
    missing = sorted(set(expected) - set(found))
    extra = sorted(version for version, count in Counter(found).items() if count > 1 or version not in expected)
    return f"{len(found)} versions of {len(expected)}; missing {missing[:10]}, too often {extra[:10]}"
