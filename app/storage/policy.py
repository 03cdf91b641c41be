"""How much is read, held in memory, or removed at once, and how long it is kept."""

from dataclasses import dataclass, field
from datetime import timedelta

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ListPolicy:
    """How lists of posts are read. Sizes are bytes of text.

    A list of at most `max_held_bytes` is held in memory whole, and cached; every post counts `overhead_bytes` besides
    its text. As JSON it is not larger either. A larger one is streamed, at most `part_bytes` and `part_posts` (or one
    larger post) at a time. Whole lists of at most `small_posts` posts and `small_bytes` are read together,
    `small_lists_per_statement` of them in one statement: the process answers no other request while it decodes those.

    A search looks through `searched_posts` and `searched_bytes` (or one larger post) at a time. With a limit, it then
    answers what it has found after `search_seconds`; without one, it must have ended by then, or
    found more than is held.
    """

    max_held_bytes: int = 4 * _MIB
    overhead_bytes: int = 500
    part_bytes: int = 2 * _MIB
    part_posts: int = 1024
    small_posts: int = 100
    small_bytes: int = 64 * 1024
    small_lists_per_statement: int = 32
    searched_posts: int = 1000
    searched_bytes: int = 512 * 1024
    search_seconds: float = 5
    exported_rows_per_statement: int = 500


@dataclass(frozen=True)
class RetentionPolicy:
    """How long rows are kept, and how they are removed.

    One transaction removes at most `batch_rows` and `batch_bytes` (or one larger post). A user with at most
    `inline_rows` changes and `inline_bytes` of text is erased in the request itself, others afterwards, by the pruner.
    """

    events: timedelta = timedelta(days=30)
    deliveries: timedelta = timedelta(days=7)
    mails: timedelta = timedelta(days=7)
    invitations: timedelta = timedelta(days=30)
    batch_rows: int = 500
    batch_bytes: int = 16 * _MIB
    inline_rows: int = 500
    inline_bytes: int = 16 * _MIB


@dataclass(frozen=True)
class StoragePolicy:
    """The policies of storage."""

    lists: ListPolicy = field(default_factory=ListPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
