"""Entity tags made from versions (RFC 9110, section 8.8.3)."""

import re

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_TAGS = re.compile(rf"[ \t,]*(?:{_TAG.pattern}[ \t]*(?:,[ \t,]*|$))*")


def etag(version: int) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def matches_any(if_none_match: str | None, current: str) -> bool:
    """Return whether `If-None-Match` contains the current tag, weak or strong (RFC 9110, section 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(f'"{tag}"' == current for _, tag in _tags(if_none_match))


def matches_strongly(if_match: str, current: str) -> bool:
    """Return whether `If-Match` contains the current tag (RFC 9110, section 13.1.1).

    Weak tags and malformed headers match nothing.
    """
    return if_match.strip() == "*" or any(not weak and f'"{tag}"' == current for weak, tag in _tags(if_match))


def _tags(header: str) -> list[tuple[str, str]]:
    return _TAG.findall(header) if _TAGS.fullmatch(header) else []
