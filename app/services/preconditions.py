"""The versions on which a change depends."""

from collections.abc import Container

from app.errors import PreconditionFailed
from models import Post


def check_timeline(version: int, if_version: Container[int] | None) -> None:
    """Return if the timeline's version is an expected one; raise `PreconditionFailed` if it is not."""
    if if_version is not None and version not in if_version:
        raise PreconditionFailed(f"The timeline is at version {version}.")


def check_post(post: Post, if_version: Container[int] | None) -> None:
    """Return if the post's version is an expected one; raise `PreconditionFailed` if it is not."""
    if if_version is not None and post.version not in if_version:
        raise PreconditionFailed(f"The post is at version {post.version}.")
