"""Quotas: how much one user may keep, so that one account can't fill the database at the cost of all others.

They are counted on the user's row, and checked where that row is locked: see `app.ports.unit_of_work.Users`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from app.errors import QuotaExceeded, TooManyWebhooks

UNLIMITED = 2**63 - 1
"""The bound that no count reaches. A user's own bound is stored as this if an operator wants none for them."""

DEFAULT_WEBHOOKS = 10

QuotaName = Literal["posts", "bytes", "webhooks"]
QUOTAS: tuple[QuotaName, ...] = ("posts", "bytes", "webhooks")


class Growth(NamedTuple):
    """By how much a change makes larger what a user keeps: posts, and UTF-8 bytes of their texts.

    It is negative where less is kept.
    """

    posts: int = 0
    bytes: int = 0


class Counted(Protocol):
    """A user's row, as far as quotas are concerned; their own bounds are `None` if those for all apply."""

    @property
    def post_count(self) -> int:
        """How many posts they have."""
        ...

    @property
    def post_bytes(self) -> int:
        """How large the texts are together."""
        ...

    @property
    def max_posts(self) -> int | None:
        """How many posts they may have."""
        ...

    @property
    def max_bytes(self) -> int | None:
        """How large the texts may be together."""
        ...


@dataclass(frozen=True)
class Quotas:
    """The bounds for every user for whom an operator has set no others; without one (`None`) there is no bound.

    If nobody has set how many webhooks there may be, it is `DEFAULT_WEBHOOKS`. `refused` counts refusals by quota.
    """

    posts: int | None = None
    bytes: int | None = None
    webhooks: int | None = None
    refused: Counter[str] = field(default_factory=Counter, compare=False)

    def check(self, user: Counted, growth: Growth) -> None:
        """Check that a user has room for what a change adds. What shrinks or stays is always allowed.

        Raises:
            QuotaExceeded: They have not.
        """
        for quota, used, added, own, usual in (
            ("posts", user.post_count, growth.posts, user.max_posts, self.posts),
            ("bytes", user.post_bytes, growth.bytes, user.max_bytes, self.bytes),
        ):
            bound = bound_of(own, usual)
            if bound is not None and added > 0 and used + added > bound:
                raise QuotaExceeded(quota, bound, used)

    def check_webhooks(self, own: int | None, used: int) -> None:
        """Check that a user with so many webhooks may have one more; `own` is the user's own bound.

        Raises:
            QuotaExceeded: They may not.
            TooManyWebhooks: They may not, and nobody has set how many there may be: the error from before quotas.
        """
        bound = bound_of(own, self.usual["webhooks"])
        if bound is not None and used >= bound:
            kind = TooManyWebhooks if own is None and self.webhooks is None else QuotaExceeded
            raise kind("webhooks", bound, used)

    @property
    def usual(self) -> Mapping[QuotaName, int | None]:
        """The bound of each quota for a user who has none of their own."""
        webhooks = DEFAULT_WEBHOOKS if self.webhooks is None else self.webhooks
        return {"posts": self.posts, "bytes": self.bytes, "webhooks": webhooks}


def bound_of(own: int | None, usual: int | None) -> int | None:
    """Return a user's bound: their own, or else the usual one. `None` is no bound."""
    bound = usual if own is None else own
    return None if bound == UNLIMITED else bound
